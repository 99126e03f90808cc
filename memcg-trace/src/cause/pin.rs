//! The kinds of things that pin a memcg.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of thing has a reference to a memcg. JSON has the names in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// Page cache of a file that can be read again.
    File,
    Tmpfs,
    Memfd,
    SysvShm,
    SharedAnon,
    Anon,
    /// The memcg ID, held by swap entries.
    Swap,
    /// A task, most often one that nobody has waited for.
    Task,
    CgroupNamespace,
    Socket,
    /// Sockets that belong to a network namespace, not to a process.
    NetNamespace,
    Inotify,
    Fanotify,
    /// A task that was reaped and that an open perf event keeps.
    PerfEvent,
    Writeback,
    ChargeStock,
    Child,
    /// The directory of the removed cgroup, still open (3.10).
    Directory,
    /// MGLRU's list of mms.
    Mm,
    SlabCache,
    /// Pages that the kernel charges for itself (up to 5.10).
    KernelPages,
    /// All of its kernel memory, with one reference (3.10).
    KernelMemory,
    /// Page cache of a device: metadata of a file system.
    BlockDevice,
    Hugetlb,
    /// Folios that were cut off their file.
    Detached,
    BpfMap,
    /// References that nothing was found for.
    Unexplained,
}

impl Pin {
    /// In the singular, as people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tmpfs => "tmpfs file",
            Self::Memfd => "memfd",
            Self::SysvShm => "SysV segment",
            Self::SharedAnon => "shared anonymous memory",
            Self::Anon => "anonymous memory",
            Self::Swap => "swap",
            Self::Task => "task",
            Self::CgroupNamespace => "cgroup namespace",
            Self::Socket => "socket",
            Self::NetNamespace => "network namespace",
            Self::Inotify => "inotify group",
            Self::Fanotify => "fanotify group",
            Self::PerfEvent => "perf event",
            Self::Writeback => "writeback",
            Self::ChargeStock => "charge stock",
            Self::Child => "child memcg",
            Self::Directory => "cgroup directory",
            Self::Mm => "mm",
            Self::SlabCache => "slab cache",
            Self::KernelPages => "kernel pages",
            Self::KernelMemory => "kernel memory",
            Self::BlockDevice => "block device",
            Self::Hugetlb => "hugetlb file",
            Self::Detached => "folios without a file",
            Self::BpfMap => "bpf map",
            Self::Unexplained => "unexplained",
        }
    }
}

/// As in JSON.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
