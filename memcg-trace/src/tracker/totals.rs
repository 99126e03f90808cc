//! What was counted.

use std::collections::BTreeMap;

use super::State;

/// Counts since the start. At any time `created + adopted == live + removed + dying + freed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Memcgs whose birth was seen, or whose creation failed after the allocation.
    pub created: u64,
    /// Memcgs first seen later in their life: older than the start, or their birth was not seen.
    pub adopted: u64,
    /// Of the known memcgs, those [`State::Online`] now.
    pub live: u64,
    /// Those [`State::Removed`] now.
    pub removed: u64,
    /// Those [`State::Dying`] now, leaked ones included.
    pub dying: u64,
    /// Those dying now for longer than the grace time.
    pub leaked: u64,
    /// Memcgs that were freed, late ones included.
    pub freed: u64,
    /// Memcgs that were freed after the grace time.
    pub late: u64,
    /// The longest dying of those whose dying was seen from the beginning, ns.
    pub late_max_ns: Option<u64>,
    /// Memcgs whose css was freed, where they outlive it.
    pub css_freed: u64,
    /// Successful `css_alloc` calls.
    pub allocated: u64,
    /// Failed `css_alloc` calls, by errno.
    pub alloc_failed: BTreeMap<u32, u64>,
    /// Events that never arrived.
    pub lost_events: u64,
    /// Firings that the kernel skipped, and returns whose entry was not seen.
    pub missed_firings: u64,
    /// Events that do not say which memcg they are about.
    pub unidentified: u64,
    /// Memcgs that only a walk brought although they are younger than the start; they count as adopted.
    pub reconciled_added: u64,
    /// Memcgs whose end only a walk showed; they count as freed.
    pub reconciled_freed: u64,
}

impl Totals {
    /// How many memcgs of the ledger are in this state; freed ones are no longer in it.
    pub(super) fn gauge(&mut self, state: State) -> &mut u64 {
        match state {
            State::Online => &mut self.live,
            State::Removed => &mut self.removed,
            State::Dying => &mut self.dying,
            State::Freed => &mut self.freed,
        }
    }
}
