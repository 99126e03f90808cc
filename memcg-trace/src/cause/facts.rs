//! What one look at the kernel found that refers to some dying memcgs: plain data, filled by the readers in `kernel/pins/`,
//! judged by [`super`]. A fact that could not be read is `None`; what could not be looked for is in [`Look::unread`].
//!
//! The unit is the css reference (`cgroup_subsys_state.refcnt`; `mem_cgroup.refcnt` on 3.10): [`Reference::refs`] of them
//! have one thing behind them. Names are bytes as the kernel has them, chosen by tenants.

use serde::{Deserialize, Serialize};

use crate::event::Key;

/// One pass over everything that may refer to the memcgs that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// `CLOCK_MONOTONIC`, ns.
    pub began_ns: u64,
    pub ended_ns: u64,
    /// In the order in which they were asked for.
    pub memcgs: Vec<Referenced>,
    /// What could not be looked for: where something is unexplained, it may be there.
    pub unread: Vec<Unread>,
    /// `None`: the map was not looked at, or not to its end.
    pub map: Option<MapCompared>,
}

/// Folios (before 5.9: pages) by where they were found: the lists of their memcgs, and the map of all pages, which is
/// complete and knows nothing of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MapCompared {
    /// In the map as on a list.
    pub on_lists: u64,
    /// In the map alone: they are on no list.
    pub on_no_list: u64,
    /// On a list alone: freed, or charged to another memcg, before the map was looked at.
    pub gone: u64,
}

/// One dying memcg and what was found to refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referenced {
    pub key: Key,
    /// Its count of references before and after everything below was read; `None`: the count cannot be read on this kernel.
    pub before: Option<u64>,
    pub after: Option<u64>,
    pub references: Vec<Reference>,
}

/// References with one thing behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub refs: u64,
    pub thing: Thing,
    /// Who has the thing; empty: nobody that could be found.
    pub holders: Vec<Holder>,
}

/// What refers to a memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// Page cache of one file, shmem included: a reference for each folio (up to 7.0).
    File {
        file: File,
        folios: Folios,
    },
    /// Anonymous memory; the holders are the processes that map it.
    Anon {
        folios: Folios,
    },
    /// Folios that were cut off their file and are held all the same (isolated, pinned by a driver).
    Detached {
        folios: Folios,
    },
    /// Pages that the kernel charges for itself, a reference each (up to 5.10).
    KernelPages {
        kind: KernelPages,
        folios: Folios,
    },
    /// All kernel memory that it is charged for, slabs included: one reference, which the last page gives back (3.10). No page: the last one was
    /// a child's, which does not.
    KernelMemory {
        folios: Folios,
    },
    /// The memcg ID, held by swap entries: one reference in all (3.10: one each).
    Swap {
        id: u16,
        entries: Option<u64>,
        /// Empty: which they are on is not known.
        devices: Vec<SwapDevice>,
    },
    /// A css_set: tasks, cgroup namespaces and perf events of reaped tasks share its one reference. They are its holders.
    CssSet,
    Socket(Socket),
    /// An inotify or fanotify group.
    Notify {
        kind: Notify,
    },
    /// A writeback structure (`struct bdi_writeback`) of one device.
    Writeback {
        /// As the kernel calls the device (`bdi`), such as `8:0`.
        device: Box<[u8]>,
        /// Inodes on its lists; 0: clean, it goes with the last inode that is attached to it.
        dirty_inodes: u64,
        /// Clean inodes that are attached to it; `None`: this kernel has no list of them (before 5.14).
        attached_inodes: Option<u64>,
        /// Some of these, dirty ones first: mount point or path where it is known.
        files: Vec<File>,
    },
    /// What a CPU keeps charged in advance.
    ChargeStock {
        cpu: u32,
        pages: Option<u64>,
    },
    /// A memcg below it, live or dying; `name` is that of its directory, if it could be read.
    Child {
        key: Key,
        name: Option<Box<[u8]>>,
        dying: Option<bool>,
    },
    /// The directory of a removed cgroup, or a file in it, that somebody has open or works in (3.10: it keeps the css). `name` is that of
    /// the directory, if it could be read.
    Directory {
        name: Option<Box<[u8]>>,
    },
    /// A process whose memory MGLRU keeps on this memcg's list of mms.
    Mm,
    /// A slab cache of its own (up to 5.8, and 3.10).
    SlabCache {
        name: Box<[u8]>,
    },
    /// A bpf map (5.11 to 6.0).
    BpfMap {
        id: Option<u32>,
        name: Box<[u8]>,
    },
}

/// An amount of folios: what one reference each is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folios {
    pub folios: u64,
    /// Base pages in them.
    pub pages: u64,
    /// How many of the folios are in each of these states.
    pub dirty: u64,
    pub writeback: u64,
    /// Mapped by a process (`_mapcount`); `None`: not read.
    pub mapped: Option<u64>,
    pub mlocked: u64,
    /// In the swap cache, too.
    pub swapcache: u64,
    /// Larger than a base page.
    pub large: u64,
    /// hugetlb folios (6.7, with `memory_hugetlb_accounting`).
    pub hugetlb: u64,
}

/// A file (inode) as far as it has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    pub kind: FileKind,
    /// Of its file system: major, minor. `st_dev` is another one where file systems make them up (btrfs: for each subvolume).
    pub device: (u32, u32),
    pub inode: u64,
    /// Name of the file system's type, such as `ext4`.
    pub filesystem: Box<[u8]>,
    /// Where it is mounted, as this mount namespace or some process sees it; `None`: nowhere that could be seen.
    pub mount: Option<Mount>,
    /// From the root of its file system, without the mount point: the names of its dentries; `None`: no dentry is left, and
    /// `find MOUNT -xdev -inum INODE` finds it.
    pub path: Option<Box<[u8]>>,
    /// Names that directories have for it; `None`: not known, or not one that has any.
    pub links: Option<u32>,
    pub bytes: Option<u64>,
    /// All base pages that are cached of it, whoever is charged for them (`address_space.nrpages`).
    pub cached_pages: Option<u64>,
    /// Of a System V segment; `None`: not known.
    pub ipc: Option<IpcNamespace>,
}

impl File {
    /// No directory names it any more; `None`: not known.
    pub fn deleted(&self) -> Option<bool> {
        self.links.map(|links| links == 0)
    }

    pub fn is_deleted(&self) -> bool {
        self.links == Some(0)
    }
}

/// The IPC namespace that a System V segment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpcNamespace {
    /// That of whoever looks.
    Ours,
    /// That of the process with this pid.
    Of(u32),
    /// None that a process lives in.
    Unseen,
}

/// Where a file system is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mount {
    /// As that process sees it.
    pub point: Box<[u8]>,
    /// A process of that mount namespace; `None`: our own.
    pub pid: Option<u32>,
    /// What of the file system is mounted there; `/`: all of it.
    pub root: Box<[u8]>,
}

/// What kind of file, as the way to get rid of it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// On a disk or any other file system that can read it again.
    Regular,
    /// On a tmpfs that is mounted somewhere.
    Tmpfs,
    /// `memfd_create`
    Memfd,
    /// A System V segment; its ID (`shmid`) is the inode number.
    SysvShm,
    /// Shared anonymous memory (`MAP_SHARED | MAP_ANONYMOUS`), or a shmem file that a driver made.
    SharedAnon,
    Hugetlbfs,
    /// Blocks of a device itself, such as directories and other metadata of the file system on it.
    BlockDevice,
}

/// Which kernel pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelPages {
    PageTable,
    /// Kernel stacks, pipe buffers, large kmalloc, vmalloc: the kernel does not say which.
    Other,
}

/// Swap entries that belong to a memcg, by device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapDevice {
    /// Its path, as /proc/swaps has it.
    pub device: Box<[u8]>,
    pub entries: u64,
    /// Shmem files and processes whose pages these are, with their entries.
    pub files: Vec<(File, u64)>,
    pub processes: Vec<(Process, u64)>,
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// As the kernel calls the protocol (`sk_prot->name`), such as `TCP`, `UNIX`, `UDPv6`.
    pub protocol: Box<[u8]>,
    /// `AF_…`
    pub family: u16,
    /// Addresses in text, such as `127.0.0.1:80` or `[::1]:80`; of a unix socket its path or `@name`; `None`: unbound.
    pub local: Option<Box<[u8]>>,
    pub remote: Option<Box<[u8]>>,
    /// `TCP_…` state number.
    pub state: u8,
    /// Inode number of its file in sockfs, as `/proc/PID/fd` shows it (`socket:[N]`); `None`: it has no file any more.
    pub inode: Option<u64>,
    /// Its network namespace.
    pub net: Option<NetNamespace>,
    /// No process can have it: it is closed and lives for what it has to send, for its message in a queue, or for its peer;
    /// or nobody has accepted it.
    pub orphan: bool,
}

/// A network namespace, and what keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetNamespace {
    /// As `/proc/PID/ns/net` shows it (`net:[N]`).
    pub inode: u64,
    /// It is the one of the init task.
    pub is_initial: bool,
    /// The kernel made the socket for itself, without a file: for the namespace (control sockets), or for a device in it (a
    /// tunnel's UDP socket, which has a local address). It goes with them.
    pub kernel_socket: bool,
    /// Tasks in it, descriptors of it, and files it is mounted on.
    pub holders: Vec<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notify {
    Inotify,
    Fanotify,
}

/// A process, or a thread where only that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// As the initial pid namespace has it (`task.tgid`).
    pub pid: u32,
    /// Without its NUL padding.
    pub comm: Box<[u8]>,
}

/// Who has a thing, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// `None`: no process has it, but a mount or a socket.
    pub process: Option<Process>,
    pub how: How,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// By a file descriptor.
    Open { fd: u32 },
    /// Mapped into its address space.
    Mapped,
    /// The process itself: it is in the css_set, or has the mm.
    Task,
    /// It has ended, and its parent has not waited for it.
    Unreaped { parent: Process },
    /// It lives in this namespace.
    InNamespace,
    /// A namespace that is bind-mounted: the mount point, and a process of that mount namespace where it is not ours.
    Mounted { point: Box<[u8]> },
    /// The descriptor is in a message that nobody has received, queued at a unix socket with this inode number.
    InFlight { socket: u64 },
    /// Of a socket without a file, which waits in the queue of the socket with this inode number: a connection that nobody
    /// has accepted, or a closed one whose message nobody has received (unix sockets).
    Queued { socket: u64 },
    /// Of a socket that is closed: the other end of its connection has this inode number and is open (unix sockets).
    Peer { socket: u64 },
    /// An open perf event of a task that was reaped.
    PerfEvent { fd: u32 },
    /// Of a System V segment: attached to it.
    Attached,
}

/// Something that could not be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Such as `swap entries` or `TCP sockets without a file`.
    pub what: &'static str,
    /// Why, and the next step.
    pub why: String,
}
