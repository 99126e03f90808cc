//! Facts about a run's slab caches that are not in the ledger.

use std::collections::HashMap;

use super::{Ledger, ListCounts};
use crate::{attribution::Container, event::Key, record::Clock};

/// Paths and containers of memcgs.
pub type Owners = HashMap<Key, (Box<[u8]>, Option<Container>)>;

/// Facts for the summary that are not in the ledger.
#[derive(Clone, Debug)]
pub struct SlabRun {
    /// `kprobe`, or `list`: /sys/kernel/slab and /proc/slabinfo are read periodically, or once.
    pub backend: &'static str,
    pub backend_reason: Option<String>,
    pub unknown: Vec<(String, String)>,
    pub clock: Clock,
    /// `CLOCK_MONOTONIC`, ns. `None`: the list was read once.
    pub started_ns: Option<u64>,
    pub ended_ns: u64,
    pub grace_ns: u64,
    /// Whether memcgs have their own caches on this kernel. `None`: could not tell.
    pub per_memcg: Option<bool>,
    /// Counts of the kernel's list at the end.
    pub listed: Option<ListCounts>,
    pub undecodable: u64,
    /// Owners of memcgs with their own caches, if requested and known.
    pub owners: Owners,
}

impl SlabRun {
    /// Whether nothing is missing that the result may depend on.
    pub fn conclusive(&self, ledger: &Ledger) -> bool {
        ledger.conclusive() && self.undecodable == 0
    }
}
