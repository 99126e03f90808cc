//! Programs that the loader runs on demand (raw_tracepoint test runs, Linux 5.10) to read kernel memory in bulk: what refers
//! to a memcg takes some 100,000 reads to find.
//!
//! Each run is inside one RCU section (test runs of raw tracepoints hold rcu_read_lock) and takes less than 0.2 ms. They use
//! bounded loops (5.3).
#![no_std]
#![no_main]

mod batch;
mod block;
mod list;
mod object;
mod on_demand;
