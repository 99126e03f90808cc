//! The interface of events that the merge needs, for all eBPF objects.

use std::{
    fmt::{Debug, Display},
    hash::Hash,
};

use memcg_trace_common::Hook;

use super::{Learned, Snapshot};
use crate::event::{DecodeError, Event};

/// An event of the hooks of one eBPF object.
pub trait HookEvent: Sized {
    /// The hooks of the object; the number is the index of a hook's counters.
    type Hook: Copy + Ord + Hash + Debug + Into<u32> + 'static;
    /// A snapshot of the kernel, taken at the start and when events were lost.
    type Snapshot: Clone + Debug + PartialEq + Eq;
    /// What is learned from others than the hooks.
    type Learned: Clone + Debug + PartialEq + Eq;
    type DecodeError: Display;

    fn decode(bytes: &[u8]) -> Result<Self, Self::DecodeError>;
    fn hook(&self) -> Self::Hook;
    fn cpu(&self) -> u32;
    /// Sequence number of the event, per hook and CPU, starting at 1.
    fn seq(&self) -> u64;
    /// `CLOCK_MONOTONIC`, ns.
    fn t_ns(&self) -> u64;
}

impl HookEvent for Event {
    type Hook = Hook;
    type Snapshot = Snapshot;
    type Learned = Learned;
    type DecodeError = DecodeError;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }

    fn hook(&self) -> Hook {
        self.hook()
    }

    fn cpu(&self) -> u32 {
        self.header().cpu
    }

    fn seq(&self) -> u64 {
        self.header().seq
    }

    fn t_ns(&self) -> u64 {
        self.t_ns()
    }
}
