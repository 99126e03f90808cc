//! The records of a run: ordered events, walks and names of containers between them, the start and the end. Pure.

mod backend;
mod checkpoint;
mod clock;
mod hook_event;
mod learned;
mod memcg;
mod merge;
mod node;
mod outage;
pub mod recording;
pub mod rotation;
mod run;
mod snapshot;

pub use backend::{Backend, WalkMeans};
pub use checkpoint::{Checkpoint, Loss};
pub use clock::Clock;
pub use hook_event::HookEvent;
pub use learned::{CacheCopies, Learned, PinsRead};
pub use memcg::{Id, Memcg, SlabCopies, State};
pub use merge::Merge;
pub use node::{Kmem, Version};
pub use outage::{Outage, OutageReason};
pub use run::{End, RunSegment, Start};
pub use snapshot::Snapshot;

use crate::event::Event;

/// One record of a run; records are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<E: HookEvent = Event> {
    Event(E),
    /// A walk of the kernel. Not merged: it follows all events up to its end.
    Walk(E::Snapshot),
    /// Events that a hook emitted on a CPU but that never arrived; detected at `t_ns` (`CLOCK_MONOTONIC`, ns).
    Lost {
        t_ns: u64,
        hook: E::Hook,
        cpu: u32,
        events: u64,
    },
    /// Firings that the kernel skipped, or a return whose entry was not seen; detected at `t_ns` (`CLOCK_MONOTONIC`,
    /// ns).
    Missed {
        t_ns: u64,
        hook: E::Hook,
        firings: u64,
    },
    /// What others told.
    Learned(E::Learned),
}
