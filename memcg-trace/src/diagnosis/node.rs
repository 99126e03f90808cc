//! The facts about a node that a diagnosis is made of. What is not known is absent.

use std::collections::BTreeMap;

use super::pins::Pin;
use crate::record::{Kmem, Version};

/// A node, looked at twice.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `uname -r`
    pub release: String,
    /// Of the hierarchy that carries the memory controller.
    pub version: Option<Version>,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    pub memcgs: Memcgs,
    /// Dying cgroups by controller, the memory controller's included; the smaller one of the two looks.
    pub dying_by_controller: BTreeMap<String, u64>,
    /// Entries of /sys/kernel/slab.
    pub slab_caches: Option<u64>,
    pub kmem: Kmem,
    /// The self-test's mkdir failed.
    pub mkdir_errno: Option<u32>,
    /// The self-test saw every hook fire, in order; `None`: it was not asked for.
    pub hooks_fired: Option<bool>,
    /// What changed between the two looks, if they are far enough apart to tell.
    pub trend: Option<Trend>,
}

/// Memcgs at the second look.
#[derive(Clone, Debug, Default)]
pub struct Memcgs {
    pub live: Option<u64>,
    pub removed: Option<u64>,
    pub dying: Option<u64>,
    /// Dying at both looks.
    pub staying: Option<u64>,
    /// Live, without a process and without anything below, and nobody's purpose.
    pub empty: Option<u64>,
    pub ids_used: Option<u64>,
    pub ids_held_by_dying: Option<u64>,
    /// Memory that dying memcgs keep at least: pages that they are charged for, never more than they have references.
    pub held_bytes: Option<u64>,
    /// What keeps those that stay.
    pub pins: BTreeMap<Pin, u64>,
    /// The walk agrees with the kernel's counts; `None`: nothing was walked, or the kernel counts nothing comparable.
    pub agrees: Option<bool>,
    /// Why there was no walk.
    pub not_walked: Option<String>,
}

/// Growth between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trend {
    pub span_ns: u64,
    pub dying: Option<i64>,
    pub ids: Option<i64>,
    pub slab_caches: Option<i64>,
}
