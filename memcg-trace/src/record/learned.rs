//! Facts about memcgs from sources other than hooks and walks.

use crate::{
    attribution::{Facts, NamesMissing},
    cause::Pinned,
    event::Key,
};

/// One thing that was learned. It is not merged: what it is about is in the ledger when it is applied, or comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// What the node told about a memcg, which may be about to be born. Nothing to the ledger.
    Names {
        key: Key,
        facts: Vec<Facts>,
    },
    /// Memcgs whose names were not looked up for lack of time. Nothing to the ledger.
    NamesMissing(NamesMissing),
    Copies(CacheCopies),
    Pins(PinsRead),
}

/// The copies of slab caches that some dying memcgs had at one instant, as the kernel listed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheCopies {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    /// Each of them holds its memcg.
    pub hold: bool,
    /// Their names.
    pub of: Vec<(Key, Vec<Box<[u8]>>)>,
}

/// The pins of some dying memcgs at one instant, as their references were explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinsRead {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    pub of: Vec<(Key, Pinned)>,
}
