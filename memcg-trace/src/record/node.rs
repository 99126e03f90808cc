//! Facts about a node that no event brings.

use serde::Serialize;

/// The cgroup version of the hierarchy that carries the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// Kernel memory as far as it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kmem {
    /// Booted with `cgroup.memory=nokmem`.
    pub nokmem: bool,
    /// Cgroups below the root that tell, of those that were asked; 0: none does.
    pub cgroups: u64,
    /// Of these, charged for kernel memory.
    pub charged: u64,
    /// Cgroups of containers, and those of them that are charged for kernel memory: where a runtime has to ask for it
    /// (before 4.5), this shows whether it does.
    pub containers: u64,
    pub containers_charged: u64,
    /// Of all, with a limit of their own for kernel memory (v1; the file is gone since 6.12).
    pub limited: u64,
}
