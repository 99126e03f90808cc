//! Where events come from.

pub mod live;
mod merge;
pub mod recording;
mod run;
mod walk;

pub use merge::{Merge, Record};
pub use run::{End, Start};
pub use walk::Snapshot;
