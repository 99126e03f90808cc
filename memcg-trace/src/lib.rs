//! memcg-trace: follow memory cgroups from creation to release and name the ones that leak.
//!
//! One arrow: kernel hook → event → perf buffer → [`event`] (decode) → [`record`] (merge into one order) → [`tracker`]
//! (the ledger) → [`attribution`] → [`report`]. ARCHITECTURE.md has the map and the invariants.

pub mod attribution;
pub mod cause;
pub mod commands;
mod deceptive;
pub mod diagnosis;
pub mod event;
pub mod exit;
pub mod kernel;
pub mod record;
pub mod report;
pub mod scenarios;
pub mod screen;
pub mod session;
pub mod slab;
pub mod source;
pub mod streams;
pub mod tracker;
pub mod units;
pub mod verdict;
