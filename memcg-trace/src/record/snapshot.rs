//! The result of a walk.

use foldhash::HashMap;
use memcg_trace_common::{Charges, CssFlag};

use crate::event::{Event, Key};

/// All memcgs seen by one walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `CLOCK_MONOTONIC`, ns.
    pub began_ns: u64,
    pub ended_ns: u64,
    /// Sorted by level, so that parents come before children; all have the time of the walk's end, when each was in the
    /// given state or a later one.
    pub events: Vec<Event>,
    pub charges: HashMap<Key, Charges>,
}

impl Snapshot {
    /// The memcgs that are offline.
    pub fn dying(&self) -> impl Iterator<Item = &Event> {
        let state = |event: &Event| event.css_flags().map(|flags| flags & (CssFlag::ONLINE | CssFlag::DYING));
        self.events.iter().filter(move |event| state(event) == Some(CssFlag::DYING))
    }
}
