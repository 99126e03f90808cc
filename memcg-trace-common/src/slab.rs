//! Inputs and events of the hooks on slab caches, which are a separate object, `slab.o`, with its own maps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Buffer size for the name of a cache, including the NUL. Longer names are truncated, such as those of memcgs' caches,
/// which contain the memcg's name.
pub const CACHE_NAME_SIZE: usize = 128;
/// Buffer size for the name of a module, including the NUL (`MODULE_NAME_LEN`).
pub const MODULE_NAME_SIZE: usize = 56;

/// The hook that a slab event comes from; the number is the index of its counters and scratch slot.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlabHook {
    /// `kmem_cache_create` entered: remembers name, size and stack, emits nothing.
    CreateEnter = 0,
    /// Inside that: the kernel creates a new cache instead of merging into an existing one. Emits nothing.
    New = 1,
    /// It returned: the cache, or none.
    Create = 2,
    /// `kmem_cache_destroy` entered: with the last reference it destroys the cache, otherwise it drops an alias.
    Destroy = 3,
    /// `slab_kmem_cache_release` entered: the cache is freed. The true end.
    Release = 4,
    /// Creation of a memcg's copy of a cache entered (up to 5.8): remembers both, emits nothing.
    MemcgCreateEnter = 5,
    /// It returned: the copy, or none.
    MemcgCreate = 6,
    /// `mem_cgroup_css_offline` entered, where memcgs have their own caches: these are no longer needed.
    MemcgOffline = 7,
    /// `do_init_module` entered: runs the module's init function in this thread.
    ModuleInitEnter = 8,
    /// `do_init_module` returned. Emits nothing.
    ModuleInit = 9,
    /// `free_module` entered: the module has run its exit function, its code is freed.
    ModuleFree = 10,
}

impl SlabHook {
    /// Number of hooks; they are numbered from 0.
    pub const COUNT: usize = 11;

    /// All hooks, by number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CreateEnter,
        Self::New,
        Self::Create,
        Self::Destroy,
        Self::Release,
        Self::MemcgCreateEnter,
        Self::MemcgCreate,
        Self::MemcgOffline,
        Self::ModuleInitEnter,
        Self::ModuleInit,
        Self::ModuleFree,
    ];

    /// The hook with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl From<SlabHook> for u32 {
    fn from(hook: SlabHook) -> Self {
        hook as Self
    }
}

/// Bits of [`SlabHeader::known`]: a field whose bit is clear is absent, not zero.
pub struct SlabField;

impl SlabField {
    /// `cache` is valid; clear in a creation: it failed.
    pub const CACHE: u32 = 1 << 0;
    pub const SIZE: u32 = 1 << 1;
    pub const OBJECT_SIZE: u32 = 1 << 2;
    pub const FLAGS: u32 = 1 << 3;
    pub const REFCOUNT: u32 = 1 << 4;
    pub const ASKED_SIZE: u32 = 1 << 5;
    /// The kernel created a new cache. If clear, it did not, provided that the hook [`SlabHook::New`] is attached.
    pub const NEW: u32 = 1 << 6;
    pub const STACK: u32 = 1 << 7;
    pub const ASKED: u32 = 1 << 8;
    pub const NAME: u32 = 1 << 9;
    pub const MODULE: u32 = 1 << 10;
    pub const MEMCG: u32 = 1 << 11;
    pub const SERIAL: u32 = 1 << 12;
    pub const ROOT: u32 = 1 << 13;
}

/// The fixed part of an event about a cache, or about a module.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SlabHeader {
    /// `CLOCK_MONOTONIC`, ns, at the entry of the hook.
    pub t_ns: u64,
    /// Sequence number of the event, per hook and CPU, starting at 1. A gap means lost events.
    pub seq: u64,
    /// Address of the `struct kmem_cache`, which identifies a cache from its creation to its release.
    pub cache: u64,
    /// For a memcg's copy: its root cache.
    pub root: u64,
    /// For a memcg's copy: address of the css, and `css.serial_nr`.
    pub memcg: u64,
    pub memcg_serial: u64,
    pub pid: u32,
    pub tgid: u32,
    pub cpu: u32,
    /// Bytes per object: as requested, `object_size` of the cache, and `size` with metadata and padding.
    pub asked_size: u32,
    pub object_size: u32,
    pub size: u32,
    /// `SLAB_*` bits.
    pub flags: u32,
    /// `kmem_cache.refcount`: number of aliases; for [`SlabHook::Destroy`], before the call.
    pub refcount: i32,
    /// Key in the map of stacks: the caller.
    pub stack: i32,
    /// Bits of [`SlabField`].
    pub known: u32,
    /// A [`SlabHook`].
    pub hook: u16,
    pub reserved: [u16; 3],
    /// Name of the thread, NUL padded.
    pub comm: [u8; 16],
}

/// An event in the perf buffer. Each string ends at its first NUL; bytes after it are undefined.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawSlabEvent {
    pub header: SlabHeader,
    /// The requested name.
    pub asked: [u8; CACHE_NAME_SIZE],
    /// The name of the cache: a different one if merged into an existing cache.
    pub name: [u8; CACHE_NAME_SIZE],
    /// The module whose init function the thread runs, or the one being unloaded.
    pub module: [u8; MODULE_NAME_SIZE],
}

impl RawSlabEvent {
    /// Forgets the facts of the event that used the slot before.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.header.known = 0;
    }
}

/// State passed from the entry of a function to its return, keyed by thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SlabInFlight {
    /// The requested name.
    pub asked: u64,
    /// For a memcg's copy: the css, and the root cache.
    pub memcg: u64,
    pub root: u64,
    /// The new cache, once the kernel has created one.
    pub new: u64,
    pub asked_size: u32,
    pub stack: i32,
}

/// Byte offsets of the members that the slab hooks read; [`crate::ABSENT`] where the kernel has no such member.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabLayout {
    /// `kmem_cache.name`
    pub name: u32,
    /// `kmem_cache.size`
    pub size: u32,
    /// `kmem_cache.object_size`
    pub object_size: u32,
    /// `kmem_cache.flags`
    pub flags: u32,
    /// `kmem_cache.refcount`
    pub refcount: u32,
    /// `cgroup_subsys_state.serial_nr`
    pub css_serial: u32,
    /// `module.name`
    pub module_name: u32,
    pub reserved: u32,
}

const _: () = assert!(size_of::<SlabHeader>() == 6 * 8 + 10 * 4 + 8 + 16);
const _: () = assert!(size_of::<RawSlabEvent>() == size_of::<SlabHeader>() + 2 * 128 + 56);
const _: () = assert!(size_of::<SlabInFlight>() == 4 * 8 + 2 * 4);
const _: () = assert!(size_of::<SlabLayout>() == 8 * 4);
