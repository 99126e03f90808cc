//! What a run is made of: events in one order, what walks and the node told between them, the start and the end. Pure.

mod backend;
mod clock;
mod hook_event;
mod learned;
mod merge;
mod node;
pub mod recording;
mod run;
mod snapshot;

pub use backend::{Backend, WalkMeans};
pub use clock::Clock;
pub use hook_event::HookEvent;
pub use learned::{CacheCopies, Learned};
pub use merge::Merge;
pub use node::{Kmem, Version};
pub use run::{End, Start};
pub use snapshot::Snapshot;

use crate::event::Event;

/// What a run is made of, in the order in which it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<E: HookEvent = Event> {
    Event(E),
    /// A walk of the kernel. It is not merged: it follows every event that is not younger than its end.
    Walk(E::Snapshot),
    /// Events that a hook emitted on a CPU and that never arrived; known at `t_ns` (`CLOCK_MONOTONIC`, ns).
    Lost {
        t_ns: u64,
        hook: E::Hook,
        cpu: u32,
        events: u64,
    },
    /// Firings that the kernel skipped, or a return whose entry was not seen; known at `t_ns` (`CLOCK_MONOTONIC`, ns).
    Missed {
        t_ns: u64,
        hook: E::Hook,
        firings: u64,
    },
    /// What others told.
    Learned(E::Learned),
}
