//! The ledger's counts.

use std::collections::BTreeMap;

use super::State;

/// Counts since the start. At any time `created + adopted == live + removed + dying + freed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Memcgs whose creation was seen, or failed after the allocation.
    pub created: u64,
    /// Memcgs first seen later: older than the start, or their creation was not seen.
    pub adopted: u64,
    /// Known memcgs that are [`State::Online`] now.
    pub live: u64,
    /// Memcgs that are [`State::Removed`] now.
    pub removed: u64,
    /// Memcgs that are [`State::Dying`] now, including leaked ones.
    pub dying: u64,
    /// Memcgs that have been dying for longer than the grace time.
    pub leaked: u64,
    /// Memcgs that were freed, including late ones.
    pub freed: u64,
    /// Memcgs that were freed after the grace time.
    pub late: u64,
    /// Longest dying time among those freed late whose start of dying was seen, ns.
    pub late_max_ns: Option<u64>,
    /// Memcgs whose css was freed, where they outlive it (3.10).
    pub css_freed: u64,
    /// Successful `css_alloc` calls.
    pub allocated: u64,
    /// Failed `css_alloc` calls, by errno.
    pub alloc_failed: BTreeMap<u32, u64>,
    /// Events that never arrived.
    pub lost_events: u64,
    /// Firings that the kernel skipped, and returns whose entry was not seen.
    pub missed_firings: u64,
    /// Events that do not identify their memcg.
    pub unidentified: u64,
    /// Memcgs younger than the start that only a walk reported; they count as adopted.
    pub reconciled_added: u64,
    /// Memcgs whose end only a walk reported; they count as freed.
    pub reconciled_freed: u64,
    /// Times that nothing was recorded of, and how long they were in all, ns.
    pub outages: u64,
    pub outage_ns: u64,
}

impl Totals {
    /// Number of memcgs of the ledger in this state; freed ones are no longer in the ledger.
    pub(super) fn gauge(&mut self, state: State) -> &mut u64 {
        match state {
            State::Online => &mut self.live,
            State::Removed => &mut self.removed,
            State::Dying => &mut self.dying,
            State::Freed => &mut self.freed,
        }
    }
}
