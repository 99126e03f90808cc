//! `serve`: what it shows, and how it stands what clients may do to it. Recordings and hand-made events; needs no privileges.

#[path = "../events/mod.rs"]
mod events;
#[allow(dead_code, reason = "it uses its part")]
#[path = "../golden/compare.rs"]
mod golden;

mod clients;
mod manager;
mod metrics;
mod server;
