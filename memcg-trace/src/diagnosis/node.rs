//! The facts about a node for a diagnosis. Unknown ones are absent.

use std::collections::BTreeMap;

use crate::{
    cause::{Hint, Pinned},
    record::{Kmem, Version},
};

/// Stands for all cgroups of a v2 hierarchy among the controllers of [`Node::dying_by_controller`].
pub const CGROUP: &str = "cgroup";

/// A node, examined twice.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `uname -r`
    pub release: String,
    /// Version of the memory controller's hierarchy.
    pub version: Option<Version>,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    pub memcgs: Memcgs,
    /// Dying cgroups by controller, the memory controller's included; the smaller of the two counts.
    pub dying_by_controller: BTreeMap<String, u64>,
    /// Entries of /sys/kernel/slab.
    pub slab_caches: Option<u64>,
    pub kmem: Kmem,
    /// Errno of the self-test's mkdir, if it failed.
    pub mkdir_errno: Option<u32>,
    /// Whether the self-test saw every hook fire, in order; `None`: not requested.
    pub hooks_fired: Option<bool>,
    /// Changes between the two examinations, if far enough apart.
    pub trend: Option<Trend>,
}

/// Memcgs at the second examination.
#[derive(Clone, Debug, Default)]
pub struct Memcgs {
    pub live: Option<u64>,
    pub removed: Option<u64>,
    pub dying: Option<u64>,
    /// Dying at both examinations.
    pub staying: Option<u64>,
    /// Live, with no processes and no children, and not empty by design.
    pub empty: Option<u64>,
    pub ids_used: Option<u64>,
    pub ids_held_by_dying: Option<u64>,
    /// Minimum memory held by dying memcgs: pages charged to them, but not more than they have references.
    pub held_bytes: Option<u64>,
    /// The most that it can be: each reference may be one of a huge page.
    pub held_bytes_max: Option<u64>,
    /// What pins each of those that stay, by what refers to them; `None`: that could not be looked at.
    pub pinned: Option<Vec<Pinned>>,
    /// What pins those that stay, as counters make likely.
    pub hints: BTreeMap<Hint, u64>,
    /// The walk agrees with the kernel's counts; `None`: nothing was walked, or the kernel counts nothing comparable.
    pub agrees: Option<bool>,
    /// The reason why there was no walk.
    pub not_walked: Option<String>,
}

/// Growth between two examinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trend {
    pub span_ns: u64,
    pub dying: Option<i64>,
    pub ids: Option<i64>,
    pub slab_caches: Option<i64>,
}
