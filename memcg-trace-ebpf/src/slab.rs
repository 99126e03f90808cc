//! The hooks on slab caches: creation, destruction, and release. The same rules as for `hooks.rs`: read, fill, emit,
//! and load on a verifier of the 4.14 class.
#![no_std]
#![no_main]

mod cache;
mod cache_firing;
mod frame;
mod memory;
mod object;

// The types of `frame.rs` in this object.
use memcg_trace_common::{
    RawSlabEvent as Event, SlabHook as Hook, SlabInFlight as InFlight, SlabLayout as Config,
};
type Copied = ();
