//! The hooks of memcg-trace: kprobes on the memory controller's css callbacks, raw tracepoints on cgroup directories.
//!
//! They read, fill and emit, without policy. They load on a verifier of the 4.14 class: no loops, no globals, no calls
//! between programs and functions (everything is inlined), helpers of that age. `memcg-trace/tests/unprivileged/object.rs` proves
//! it.
#![no_std]
#![no_main]

mod by_cgroup;
mod cgroup;
mod css;
mod facts;
mod firing;
mod frame;
mod memory;
mod mkdir;
mod object;

// The types of `frame.rs` in this object.
use facts::Beginning as Copied;
use memcg_trace_common::{Config, Hook, InFlight, RawEvent as Event};
