//! The hooks on slab caches: what they are given, and what they emit. An object of its own, `slab.o`, with maps of its own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Room for the name of a cache, its NUL included. Longer ones are cut; those of a memcg's caches, with the memcg's name in
/// them, may be.
pub const CACHE_NAME_SIZE: usize = 128;
/// Room for the name of a module, its NUL included (`MODULE_NAME_LEN`).
pub const MODULE_NAME_SIZE: usize = 56;

/// The place in the kernel that a slab event comes from; its number is the index of the hook's counters and scratch slot.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlabHook {
    /// A cache is asked for: remembers name, size and stack, emits nothing.
    CreateEnter = 0,
    /// Within that: the kernel makes a really new cache instead of handing out one that exists. Emits nothing.
    New = 1,
    /// The cache, or none.
    Create = 2,
    /// `kmem_cache_destroy` entered: with the last reference the cache is to go, otherwise a name of it.
    Destroy = 3,
    /// `slab_kmem_cache_release` entered: the cache's memory goes back. The true end.
    Release = 4,
    /// A memcg's copy of a cache is asked for (up to 5.8): remembers both, emits nothing.
    MemcgCreateEnter = 5,
    /// The copy, or none.
    MemcgCreate = 6,
    /// `mem_cgroup_css_offline` entered, where memcgs have caches of their own: these have no purpose any more.
    MemcgOffline = 7,
    /// `do_init_module` entered: the module's code runs from now on, in this thread its init function.
    ModuleInitEnter = 8,
    /// It returned. Emits nothing.
    ModuleInit = 9,
    /// `free_module` entered: the module has said goodbye, its code goes.
    ModuleFree = 10,
}

impl SlabHook {
    /// How many there are; they are numbered from 0.
    pub const COUNT: usize = 11;

    /// All of them, by number.
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
    /// The kernel made a new cache. Clear says so only if the hook [`SlabHook::New`] is attached.
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
    /// Counts the events of this hook on this CPU from 1. A gap is an event lost.
    pub seq: u64,
    /// Address of the `struct kmem_cache`, the identity of a cache from its creation to its release.
    pub cache: u64,
    /// The cache that a memcg's own is a copy of.
    pub root: u64,
    /// Address of the css whose cache it is, and `css.serial_nr`.
    pub memcg: u64,
    pub memcg_serial: u64,
    pub pid: u32,
    pub tgid: u32,
    pub cpu: u32,
    /// Bytes of an object: as asked for, as the cache has it, and with all that is put around it.
    pub asked_size: u32,
    pub object_size: u32,
    pub size: u32,
    /// `SLAB_*` bits.
    pub flags: u32,
    /// How often the cache was asked for, before the call in the case of [`SlabHook::Destroy`].
    pub refcount: i32,
    /// Key in the map of stacks: who asked.
    pub stack: i32,
    /// Bits of [`SlabField`].
    pub known: u32,
    /// A [`SlabHook`].
    pub hook: u16,
    pub reserved: [u16; 3],
    /// Name of the thread, NUL padded.
    pub comm: [u8; 16],
}

/// An event as it travels. Each text ends at its first NUL; what is behind that means nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawSlabEvent {
    pub header: SlabHeader,
    /// The name that was asked for.
    pub asked: [u8; CACHE_NAME_SIZE],
    /// The name that the cache has: another one if it was there already.
    pub name: [u8; CACHE_NAME_SIZE],
    /// The module that the thread initialises, or the one that goes.
    pub module: [u8; MODULE_NAME_SIZE],
}

impl RawSlabEvent {
    /// Nothing is known any more of what the slot was used for before.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.header.known = 0;
    }
}

/// What the entry of a function leaves for its return, keyed by thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SlabInFlight {
    /// The name that was asked for.
    pub asked: u64,
    /// The css that gets a copy, and the cache it is a copy of.
    pub memcg: u64,
    pub root: u64,
    /// The new cache, once the kernel makes one.
    pub new: u64,
    pub asked_size: u32,
    pub stack: i32,
}

/// Byte offsets of what the slab hooks read; [`crate::ABSENT`] where the kernel has no such member.
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
