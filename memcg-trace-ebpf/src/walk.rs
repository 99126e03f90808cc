//! Programs that the loader runs on demand (raw_tracepoint test runs, Linux 5.10) to read kernel memory.
//!
//! They are loaded separately from the hooks and may need a newer verifier: they use bounded loops (5.3).
#![no_std]
#![no_main]

mod copy;
mod facts;
mod memory;
mod object;
mod on_demand;
mod own;
mod table;
