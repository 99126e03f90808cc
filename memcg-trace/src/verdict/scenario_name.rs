//! What `verify` tries, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The scenarios, in the order in which they are run and shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioName {
    /// Control: create, run a task, remove
    Churn,
    /// The kmem limit set and lifted again, the leak of RHEL 7 (v1)
    KmemLimit,
    /// The same with nothing running inside: control (v1)
    KmemToggle,
    /// Kernel objects of many kinds; /sys/kernel/slab must return to its level
    SlabCaches,
    /// A file on a tmpfs that outlives the cgroup
    Tmpfs,
    /// Pages of a file that was read
    PageCache,
    /// A file that a task outside has mapped
    MappedFile,
    /// A task that was moved out with its memory
    MovedTask,
    /// Pages in swap: they hold the memcg ID, too
    Swap,
    /// A socket with data in it
    Socket,
    /// A task that ended and that nobody waited for
    UnreapedTask,
    /// A cgroup namespace that began in the cgroup
    CgroupNamespace,
    /// The controller switched off, the cgroup still there (v2)
    ControllerToggle,
    /// Parent and child removed, the child pinned
    Nested,
    /// Inodes and dentries that outlive the cgroup
    Dentries,
    /// Pages of a file that was written, and not yet to the disk
    PageCacheDirty,
    /// All 65,535 memcg IDs used up, one cgroup removed, another created (needs --exhaust)
    IdExhaustion,
}

impl ScenarioName {
    /// All of them, in order.
    pub fn all() -> &'static [Self] {
        clap::ValueEnum::value_variants()
    }

    /// It takes what every other scenario needs, and runs alone.
    pub fn is_exclusive(self) -> bool {
        self == Self::IdExhaustion
    }
}

impl fmt::Display for ScenarioName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
