//! The kernel as a walk saw it.

use foldhash::HashMap;
use memcg_trace_common::{Charges, CssFlag};

use crate::event::{Event, Key};

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
    /// Those that are offline.
    pub fn dying(&self) -> impl Iterator<Item = &Event> {
        let state = |event: &Event| event.css_flags().map(|flags| flags & (CssFlag::ONLINE | CssFlag::DYING));
        self.events.iter().filter(move |event| state(event) == Some(CssFlag::DYING))
    }
}
