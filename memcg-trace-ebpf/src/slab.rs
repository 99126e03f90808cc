//! The hooks on slab caches: who makes them, who lets go of them, which of them really go. The same rules as for
//! `hooks.rs`: read, fill, emit, and load on a verifier of the 4.14 class.
#![no_std]
#![no_main]

mod cache;
mod cache_firing;
mod memory;
mod object;
