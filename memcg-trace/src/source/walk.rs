//! The kernel as it is: the walk's memcgs as events, in an order in which parents come first.

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::{Charges, CssFlag, EventHeader};

use crate::{
    event::Event,
    kernel::{
        clock,
        walk::{Walk, WalkError},
    },
    tracker::Key,
};

/// Everything that one walk brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `CLOCK_MONOTONIC`, ns.
    pub began_ns: u64,
    pub ended_ns: u64,
    /// By level, so that a parent is known before its children; all stamped with the end of the walk, when each of them
    /// was as it says or further.
    pub events: Vec<Event>,
    pub charges: HashMap<Key, Charges>,
}

impl Snapshot {
    /// Walks and decodes.
    pub fn take(walk: &mut Walk) -> Result<Self, WalkError> {
        let began_ns = clock::monotonic_ns();
        let mut seen = Vec::new();
        let mut charges = HashMap::new();
        let walks = walk.walk(|walked| {
            let header = walked.header;
            charges.insert(Key { css: header.css, serial: header.serial }, walked.charges);
            seen.push((header, Box::from(walked.name)));
        })?;
        log::debug!("{walks:?}");
        let ended_ns = clock::monotonic_ns();
        seen.sort_by_key(|(header, _)| header.level);
        let event = |(header, name): (EventHeader, Box<[u8]>)| {
            Event::new(EventHeader { t_ns: ended_ns, ..header }, &name)
        };
        let events = seen.into_iter().map(event).collect::<Result<_, _>>()?;
        Ok(Self { began_ns, ended_ns, events, charges })
    }
}

impl Snapshot {
    /// Those that are offline.
    pub fn dying(&self) -> impl Iterator<Item = &Event> {
        let state = |event: &Event| event.css_flags().map(|flags| flags & (CssFlag::ONLINE | CssFlag::DYING));
        self.events.iter().filter(move |event| state(event) == Some(CssFlag::DYING))
    }
}
