//! Names of the scenarios of `verify`.

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
    /// The kmem limit set and removed again, the leak of RHEL 7 (v1)
    KmemLimit,
    /// Control for kmem-limit: the same with nothing running inside (v1)
    KmemToggle,
    /// Kernel objects of many kinds; /sys/kernel/slab must shrink back
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
    /// A zombie task: it ended, and nobody has waited for it
    UnreapedTask,
    /// A cgroup namespace created in the cgroup
    CgroupNamespace,
    /// A memfd that a process outside has open
    Memfd,
    /// A System V segment that nobody removes
    SysvShm,
    /// A deleted file on a tmpfs that a process outside has open
    DeletedFile,
    /// Locked memory of a task that was moved out
    Mlocked,
    /// A huge page of a task that was moved out
    HugePage,
    /// A socket in a message that nobody receives
    SocketInFlight,
    /// A closed TCP socket with data that the other end does not read
    OrphanSocket,
    /// A network namespace created in the cgroup
    NetworkNamespace,
    /// An inotify group created in the cgroup
    Inotify,
    /// A perf event of a task that was reaped
    PerfEvent,
    /// Data in a pipe that nobody reads
    Pipe,
    /// The controller disabled, the cgroup still there (v2)
    ControllerToggle,
    /// Parent and child removed, the child pinned
    Nested,
    /// Inodes and dentries that outlive the cgroup
    Dentries,
    /// Dirty pages of a file
    PageCacheDirty,
    /// All 65,535 memcg IDs used up, one cgroup removed, another created (needs --exhaust)
    IdExhaustion,
}

impl ScenarioName {
    /// All of them, in order.
    pub fn all() -> &'static [Self] {
        clap::ValueEnum::value_variants()
    }

    /// Whether it uses up what other scenarios need, and so runs alone.
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
