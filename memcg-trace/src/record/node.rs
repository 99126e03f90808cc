//! Facts about a node that are not in events.

use serde::Serialize;

/// The cgroup version of the hierarchy that carries the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// Kernel memory accounting, as far as visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kmem {
    /// Booted with `cgroup.memory=nokmem`.
    pub nokmem: bool,
    /// Number of sampled cgroups below the root whose accounting is visible.
    pub cgroups: u64,
    /// Number of these that are charged for kernel memory.
    pub charged: u64,
    /// Number of these that belong to containers, and of those charged for kernel memory: shows whether the runtime
    /// enables it, where it has to (before 4.5).
    pub containers: u64,
    pub containers_charged: u64,
    /// Number of these with a kernel memory limit (v1; the file is gone since 6.12).
    pub limited: u64,
}
