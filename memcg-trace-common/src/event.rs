//! Events: the facts read by a hook at the instant it fired.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest name of a cgroup directory (`NAME_MAX` of the VFS).
pub const NAME_MAX: usize = 255;
/// Names up to this length are sent in a shorter record; `cri-containerd-<64 hex>.scope` has 85 bytes.
pub const NAME_SHORT: usize = 96;

/// The hook that an event comes from.
///
/// The number is the index of the hook's counters and of its scratch slot. A hook never nests with itself on a CPU (the
/// kernel's recursion guard), but different hooks may nest: hence one slot per hook.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// `mem_cgroup_css_alloc` entered: remembers the parent, emits nothing.
    CssAllocEnter = 0,
    /// `mem_cgroup_css_alloc` returned: the new css, or the errno. The css has no cgroup and no name yet.
    CssAlloc = 1,
    /// `mem_cgroup_css_online` entered: the css has its cgroup, ID and name.
    CssOnline = 2,
    /// `mem_cgroup_css_offline` entered (in a kworker): the memcg becomes dying, its ID is still held.
    CssOfflineEnter = 3,
    /// `mem_cgroup_css_offline` returned: `memcg_id` 0 means released, otherwise `id_refs` references keep it.
    CssOffline = 4,
    /// `mem_cgroup_css_released` entered: the last reference to the css is gone.
    CssReleased = 5,
    /// `mem_cgroup_css_free` entered: the memcg is freed after this.
    CssFree = 6,
    /// Tracepoint `cgroup_mkdir`: after the css is online.
    CgroupMkdir = 7,
    /// Tracepoint `cgroup_rmdir`: the directory is gone, the css is still online.
    CgroupRmdir = 8,
    /// Tracepoint `cgroup_release`: every css of the cgroup was freed before.
    CgroupRelease = 9,
    /// Not a hook: the walk found the css in the table of all csses.
    Walk = 10,
    /// `mem_cgroup_css_free` entered, where the memcg outlives its css (3.10): the cgroup is freed, the memcg and its
    /// ID with the last reference.
    CssPut = 11,
    /// `__mem_cgroup_free` entered, on such a kernel: the memcg and its ID are freed after this.
    MemcgFree = 12,
    /// `cgroup_mkdir` entered, where the layout is unknown: the css that comes online in this thread next is the new
    /// cgroup's. Emits nothing.
    MkdirEnter = 13,
}

impl Hook {
    /// Number of hooks; they are numbered from 0.
    pub const COUNT: usize = 14;

    /// All hooks, by number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CssAllocEnter,
        Self::CssAlloc,
        Self::CssOnline,
        Self::CssOfflineEnter,
        Self::CssOffline,
        Self::CssReleased,
        Self::CssFree,
        Self::CgroupMkdir,
        Self::CgroupRmdir,
        Self::CgroupRelease,
        Self::Walk,
        Self::CssPut,
        Self::MemcgFree,
        Self::MkdirEnter,
    ];

    /// The hook with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl From<Hook> for u32 {
    fn from(hook: Hook) -> Self {
        hook as Self
    }
}

/// Bits of [`EventHeader::known`]: the fields that the hook could read. A field whose bit is clear is absent, not zero.
pub struct Field;

impl Field {
    pub const CSS: u32 = 1 << 0;
    pub const SERIAL: u32 = 1 << 1;
    pub const CSS_ID: u32 = 1 << 2;
    pub const CSS_FLAGS: u32 = 1 << 3;
    /// Only once the css is dying: before, the count is per-CPU.
    pub const CSS_REFS: u32 = 1 << 4;
    pub const MEMCG_ID: u32 = 1 << 5;
    pub const ID_REFS: u32 = 1 << 6;
    pub const CHARGED: u32 = 1 << 7;
    pub const CGROUP_ID: u32 = 1 << 8;
    pub const LEVEL: u32 = 1 << 9;
    pub const PARENT: u32 = 1 << 10;
    pub const PARENT_SERIAL: u32 = 1 << 11;
    pub const PARENT_CGROUP_ID: u32 = 1 << 12;
    pub const NAME: u32 = 1 << 13;
    /// The name did not fit into [`NAME_MAX`] bytes.
    pub const NAME_TRUNCATED: u32 = 1 << 14;
    /// `errno` is valid: the call failed.
    pub const ERRNO: u32 = 1 << 15;
    /// The cgroup has no processes and no children; clear: it has, or that could not be read. Only set by a walk.
    pub const EMPTY: u32 = 1 << 16;
    /// The name is the full path, from a tracepoint.
    pub const PATH: u32 = 1 << 17;
}

/// Bits of [`EventHeader::css_flags`] (include/linux/cgroup-defs.h; the same in 5.10 to 7.3).
pub struct CssFlag;

impl CssFlag {
    /// From css_online to css_offline.
    pub const ONLINE: u32 = 1 << 1;
    /// The last reference is gone.
    pub const RELEASED: u32 = 1 << 2;
    /// The directory is gone, or the controller was disabled.
    pub const DYING: u32 = 1 << 4;
}

/// The fixed part of an event; the bytes of the directory's name follow it, without a NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct EventHeader {
    /// `CLOCK_MONOTONIC`, ns, at the entry of the hook (`bpf_ktime_get_ns`; the boot-time helper came with 5.8).
    pub t_ns: u64,
    /// Sequence number of the event, per hook and CPU, starting at 1. A gap means lost events.
    pub seq: u64,
    /// Address of the css, which is also the memcg's.
    pub css: u64,
    /// `css.serial_nr`: unique for every css of the boot. `(css, serial)` is the identity of a memcg.
    pub serial: u64,
    /// Address of the `struct cgroup`.
    pub cgroup: u64,
    /// Inode number of the directory.
    pub cgroup_id: u64,
    pub parent_css: u64,
    pub parent_serial: u64,
    pub parent_cgroup_id: u64,
    /// `memory.usage` of the page counter, pages.
    pub charged_pages: u64,
    /// References to the css; exact, as it is dying.
    pub css_refs: u64,
    /// Thread that ran the hook (a kworker for css_offline, css_released and css_free).
    pub pid: u32,
    pub tgid: u32,
    /// `css.id`: not limited to 16 bits, held until the css is released; not the memcg ID.
    pub css_id: u32,
    /// `css.flags`, bits of [`CssFlag`] among others.
    pub css_flags: u32,
    /// The 16-bit memcg ID; 0 once released.
    pub memcg_id: u32,
    /// References to the memcg ID: one by the css while online, one per swapped-out page.
    pub id_refs: u32,
    /// Depth in the hierarchy; 0 is the root.
    pub level: u32,
    /// Positive errno of a failed allocation.
    pub errno: u32,
    /// Bits of [`Field`].
    pub known: u32,
    /// A [`Hook`].
    pub hook: u16,
    /// Valid bytes of the name.
    pub name_len: u16,
    pub cpu: u32,
    pub reserved: u32,
    /// Name of the thread, NUL padded.
    pub comm: [u8; 16],
}

/// An event buffer of a hook: the header, followed by space for the name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawEvent {
    pub header: EventHeader,
    pub name: [u8; NAME_MAX + 1],
}

impl RawEvent {
    /// Forgets the facts of the event that used the slot before.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.header.known = 0;
        self.header.name_len = 0;
    }
}

/// Counters of one hook on one CPU since it was loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of runs.
    pub fired: u64,
    /// Events written to the perf buffer; those that did not fit show as gaps of [`EventHeader::seq`].
    pub emitted: u64,
    /// Early return, as intended: another hierarchy, or a cgroup without a memcg.
    pub not_memory: u64,
    /// Early return: `CONFIG` or the scratch slot could not be looked up.
    pub no_config: u64,
    /// Early return: the entry of the function had not been seen, or could not be remembered.
    pub no_entry: u64,
    /// A field could not be read from kernel memory; the event went out without it.
    pub unreadable: u64,
}

/// State passed from the entry of a function to its return, keyed by thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct InFlight {
    /// The css argument: the parent's for `css_alloc`, the memcg's own for `css_offline`. Where the callbacks take
    /// cgroups, `css_alloc` stores the new cgroup here. Where the layout is unknown, `css_online` stores the new css
    /// for the tracepoint that has its path.
    pub css: u64,
}

const _: () = assert!(size_of::<EventHeader>() == 11 * 8 + 9 * 4 + 2 * 2 + 2 * 4 + 16);
const _: () = assert!(size_of::<EventHeader>().is_multiple_of(8));
const _: () = assert!(size_of::<RawEvent>() == size_of::<EventHeader>() + 256);
const _: () = assert!(size_of::<Counters>() == 6 * 8);
