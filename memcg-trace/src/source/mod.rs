//! Where events come from.

mod asked;
mod caches;
pub mod live;
mod merge;
pub mod names;
pub mod recording;
mod run;
pub mod slab;
mod stream;
mod walk;

pub use caches::Caches;
pub use merge::{HookEvent, Merge, Record};
pub use run::{End, Start};
pub use stream::{Feed, Polled, Stream, Wanted};
pub use walk::Snapshot;
