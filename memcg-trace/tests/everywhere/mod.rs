//! Tests for any machine, with either backend.

mod doctor;
mod ends;
mod explains;
mod failures;
mod filters;
mod mutations;
mod names;
mod observers;
mod recordings;
mod scans;
mod storms;
