//! `serve`: what it shows, and how it stands what clients may do to it. Recordings and hand-made events; needs no privileges.

mod clients;
mod manager;
mod metrics;
mod server;
