//! The ABI between the eBPF programs and the loader: the contents of maps and perf buffers.
//!
//! Everything here is `#[repr(C)]`, of fixed width and plain old data. Both sides are built from one commit, the object
//! is embedded in the loader; [`ABI`] is still checked, because a recording may be older than its reader.
#![no_std]

mod event;
mod layout;
mod own;
mod pins;
mod slab;
mod walk;

pub use event::{Counters, CssFlag, EventHeader, Field, Hook, InFlight, NAME_MAX, NAME_SHORT, RawEvent};
pub use layout::{ABSENT, Config, DentryLayout, Layout, PERCPU_COUNT_BIAS, PERCPU_REF_DEAD};
pub use own::{OWN_LEVELS, Own, PathStep};
pub use pins::{
    Answers, BATCH, BLOCK_BYTES, Block, ENTRY_WORDS, Entries, LIST_STEPS, List, ListEnd, READ_MAX, Request,
    Requests,
};
pub use slab::{
    CACHE_NAME_SIZE, MODULE_NAME_SIZE, RawSlabEvent, SlabField, SlabHeader, SlabHook, SlabInFlight,
    SlabLayout,
};
pub use walk::{
    CGROUP_WORDS, COUNTER_WORDS, Charges, Copied, KINDS, KN_WORDS, Kind, LEAF_SLOTS, Leaf, Lengths,
    MEMCG_WORDS, NAME_WORDS, TABLE_LEVELS, WalkConfig, WalkLayout,
};

/// Version of the types in recordings ([`EventHeader`], [`Charges`], [`WalkLayout`]); incremented with every change of
/// them. (Not for [`Config`]: its readers are embedded in the loader.)
pub const ABI: u32 = 2;

#[cfg(feature = "loader")]
mod pod {
    use aya::Pod;

    // SAFETY: `#[repr(C)]`, fixed-width integers and byte arrays only, every bit pattern is a value. So are the others.
    unsafe impl Pod for crate::Config {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Counters {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Layout {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Own {}
    // SAFETY: as above.
    unsafe impl Pod for crate::PathStep {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Leaf {}
    // SAFETY: as above.
    unsafe impl Pod for crate::WalkConfig {}
    // SAFETY: as above.
    unsafe impl Pod for crate::SlabLayout {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Requests {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Answers {}
    // SAFETY: as above.
    unsafe impl Pod for crate::List {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Entries {}
    // SAFETY: as above.
    unsafe impl Pod for crate::Block {}
}
