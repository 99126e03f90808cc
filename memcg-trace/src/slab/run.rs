//! What a run knows of slab caches that is not in the ledger.

use std::collections::HashMap;

use super::{Ledger, ListCounts};
use crate::{attribution::Container, event::Key, record::Clock};

/// Path and container of memcgs.
pub type Owners = HashMap<Key, (Box<[u8]>, Option<Container>)>;

/// What a summary must know that is not in the ledger.
#[derive(Clone, Debug)]
pub struct SlabRun {
    /// `kprobe`, or `list`: /sys/kernel/slab and /proc/slabinfo are read from time to time, or once.
    pub backend: &'static str,
    pub backend_reason: Option<String>,
    pub unknown: Vec<(String, String)>,
    pub clock: Clock,
    /// `CLOCK_MONOTONIC`, ns. `None`: it was one look.
    pub started_ns: Option<u64>,
    pub ended_ns: u64,
    pub grace_ns: u64,
    /// Memcgs have caches of their own on this kernel. `None`: could not tell.
    pub per_memcg: Option<bool>,
    /// What the kernel lists at the end.
    pub listed: Option<ListCounts>,
    pub undecodable: u64,
    /// Whose memcgs have caches of their own, as far as it was asked for and is known.
    pub owners: Owners,
}

impl SlabRun {
    /// Nothing is missing that the answer may depend on.
    pub fn conclusive(&self, ledger: &Ledger) -> bool {
        ledger.conclusive() && self.undecodable == 0
    }
}
