//! The walk: reads every css of the memory subsystem on demand.
//!
//! It traverses `cgroup_subsys.css_idr`, the table of all csses by css id, dying ones included: a css leaves it in
//! `css_release_work_fn` (kernel/cgroup/cgroup.c), one whose creation failed when it is freed. Each run reads one leaf of the table inside one RCU section;
//! between runs only the next id is kept. So a css that exists during the whole walk is seen exactly once, whatever
//! else happens, and no pointer outlives its RCU section.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{ABSENT, Layout, NAME_MAX};

/// Slots of one leaf (`XA_CHUNK_SIZE`).
pub const LEAF_SLOTS: usize = 64;
/// Maximum levels of the table: 64^5 csses.
pub const TABLE_LEVELS: u32 = 5;

/// Kinds of charges; the index of [`Charges::kinds`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `NR_FILE_PAGES`: page cache, shmem included.
    File = 0,
    /// `NR_ANON_MAPPED`
    Anon = 1,
    /// `NR_SHMEM`
    Shmem = 2,
    /// `NR_SLAB_RECLAIMABLE_B`
    SlabReclaimable = 3,
    /// `NR_SLAB_UNRECLAIMABLE_B`
    SlabUnreclaimable = 4,
    /// `MEMCG_SOCK`
    Sock = 5,
    /// `MEMCG_PERCPU_B`
    Percpu = 6,
    /// `NR_PAGETABLE`
    PageTables = 7,
    /// `NR_KERNEL_STACK_KB`
    KernelStack = 8,
    /// `MEMCG_VMALLOC`
    Vmalloc = 9,
    /// `MEMCG_KMEM`: everything the kernel allocates for the memcg (5.18).
    Kernel = 10,
}

/// Number of [`Kind`]s.
pub const KINDS: usize = 11;

/// The hooks' layout, and the offsets that only the walk reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes)]
#[cfg_attr(feature = "loader", derive(serde::Serialize, serde::Deserialize))]
pub struct WalkLayout {
    pub layout: Layout,
    /// `cgroup_subsys.css_idr.idr_rt.xa_head`; `rnode` before 4.20
    pub css_idr: u32,
    /// `xa_node.shift`; `radix_tree_node` before 4.20
    pub xa_shift: u32,
    /// `xa_node.slots`
    pub xa_slots: u32,
    /// `mem_cgroup.swap.usage` (v2) or `mem_cgroup.memsw.usage` (v1), pages
    pub swap: u32,
    /// `mem_cgroup.kmem.usage`, pages; only charged on v1
    pub kmem: u32,
    /// `mem_cgroup.tcpmem.usage`, pages; only charged on v1
    pub tcpmem: u32,
    /// `mem_cgroup.vmstats`, up to 6.0 `mem_cgroup.vmstats.state` where that is a struct
    pub vmstats: u32,
    /// `memcg_vmstats.state`, behind the pointer `vmstats`; [`ABSENT`]: `vmstats` is the array itself, in the memcg (before 6.1)
    pub state: u32,
    /// Byte offsets of each [`Kind`]'s counter in the array.
    pub kinds: [u32; KINDS],
    /// `cgroup.nr_descendants`
    pub cgroup_descendants: u32,
    /// `cgroup.nr_populated_csets`
    pub cgroup_populated: u32,
}

/// The charges of a memcg, by kind. The counters include its descendants.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Charges {
    /// Bit n: `kinds[n]` is valid; then the bits [`Charges::SWAP`], [`Charges::KMEM`] and [`Charges::TCPMEM`].
    pub known: u32,
    pub reserved: u32,
    pub swap_pages: u64,
    pub kmem_pages: u64,
    pub tcpmem_pages: u64,
    /// In the unit of the kernel's name for the counter: pages, bytes (`_B`) or KiB (`_KB`).
    pub kinds: [i64; KINDS],
}

/// Buffer size for each struct in [`Copied`], in words; powers of two, so that a mask keeps indices and lengths in bounds.
pub const MEMCG_WORDS: usize = 256;
pub const COUNTER_WORDS: usize = 128;
pub const CGROUP_WORDS: usize = 128;
pub const KN_WORDS: usize = 32;
/// One byte more than the longest name, to detect longer ones, and the NUL.
pub const NAME_WORDS: usize = (NAME_MAX + 1) / size_of::<u64>() + 1;

/// Number of bytes to read from the start of each struct, up to the last wanted member.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// `struct mem_cgroup`
    pub memcg: u32,
    /// The target of `mem_cgroup.vmstats`; 0: the counters are in the memcg itself, or unknown.
    pub counters: u32,
    /// `struct cgroup`
    pub cgroup: u32,
    /// `struct kernfs_node`
    pub kn: u32,
}

/// Configuration of the program `walk`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkConfig {
    pub layout: WalkLayout,
    pub lengths: Lengths,
}

/// One memcg as copied from the kernel: the first bytes of each struct; the loader decodes the members.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copied {
    pub css: u64,
    /// The structs that could be copied: bits of this type. The others have any contents.
    pub copied: u32,
    /// Length of the name without the NUL; anything, if it could not be read.
    pub name_len: u32,
    /// `percpu_ref_data.count` of a css whose refcount is dying.
    pub ref_count: u64,
    pub parent_serial: u64,
    pub parent_cgroup_id: u64,
    pub memcg: [u64; MEMCG_WORDS],
    pub counters: [u64; COUNTER_WORDS],
    pub cgroup: [u64; CGROUP_WORDS],
    pub kn: [u64; KN_WORDS],
    pub name: [u64; NAME_WORDS],
}

impl Copied {
    pub const MEMCG: u32 = 1 << 0;
    pub const COUNTERS: u32 = 1 << 1;
    pub const CGROUP: u32 = 1 << 2;
    pub const KN: u32 = 1 << 3;
    pub const NAME: u32 = 1 << 4;
    pub const REF_COUNT: u32 = 1 << 5;
    pub const PARENT_SERIAL: u32 = 1 << 6;
    pub const PARENT_CGROUP_ID: u32 = 1 << 7;
}

/// Result of one run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Leaf {
    /// Valid entries of `memcgs`.
    pub count: u32,
    /// 1: this is the last leaf.
    pub last: u32,
    /// The css id to continue with.
    pub next: u64,
    /// `CLOCK_MONOTONIC`, ns, when the leaf was read.
    pub t_ns: u64,
    pub memcgs: [Copied; LEAF_SLOTS],
}

impl Charges {
    pub const TCPMEM: u32 = 1 << 29;
    pub const SWAP: u32 = 1 << 30;
    pub const KMEM: u32 = 1 << 31;

    /// No charges are known.
    pub const UNKNOWN: Self =
        Self { known: 0, reserved: 0, swap_pages: 0, kmem_pages: 0, tcpmem_pages: 0, kinds: [0; KINDS] };
}

impl WalkLayout {
    /// A layout without any offsets.
    pub const UNKNOWN: Self = Self {
        layout: Layout::UNKNOWN,
        css_idr: ABSENT,
        xa_shift: ABSENT,
        xa_slots: ABSENT,
        swap: ABSENT,
        kmem: ABSENT,
        tcpmem: ABSENT,
        vmstats: ABSENT,
        state: ABSENT,
        kinds: [ABSENT; KINDS],
        cgroup_descendants: ABSENT,
        cgroup_populated: ABSENT,
    };
}

const _: () = assert!(size_of::<WalkLayout>() == size_of::<Layout>() + 10 * 4 + KINDS * 4);
const _: () = assert!(size_of::<Charges>() == 4 * 8 + KINDS * 8);
const _: () =
    assert!(MEMCG_WORDS.is_power_of_two() && CGROUP_WORDS.is_power_of_two() && KN_WORDS.is_power_of_two());
const _: () = assert!(COUNTER_WORDS.is_power_of_two());
const _: () = assert!(
    size_of::<Copied>() == 8 * (5 + MEMCG_WORDS + COUNTER_WORDS + CGROUP_WORDS + KN_WORDS + NAME_WORDS)
);
const _: () = assert!(size_of::<Leaf>() == 24 + LEAF_SLOTS * size_of::<Copied>());
