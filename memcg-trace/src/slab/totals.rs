//! What was counted.

use super::State;

/// Counts. `created + adopted == live + destroying + leaked + released`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub created: u64,
    /// First seen after their birth, most often because they are older than the ledger.
    pub adopted: u64,
    pub live: u64,
    pub destroying: u64,
    pub leaked: u64,
    pub released: u64,
    /// Of those released: after they had counted as leaked.
    pub late: u64,
    /// Creations that were given a cache that existed, and names that were destroyed again.
    pub aliased: u64,
    pub unaliased: u64,
    /// Creations that failed.
    pub failed: u64,
    /// New caches whose name did not read as the one that was asked for: the layout is not this kernel's.
    pub misread: u64,
    pub lost_events: u64,
    pub missed_firings: u64,
}

impl Totals {
    /// How many caches are in this state.
    pub(super) fn gauge(&mut self, state: State) -> &mut u64 {
        match state {
            State::Live => &mut self.live,
            State::Destroying => &mut self.destroying,
            State::Leaked => &mut self.leaked,
            State::Released => &mut self.released,
        }
    }
}
