//! Events as the merge needs them, whatever object emits them.

use std::{
    fmt::{Debug, Display},
    hash::Hash,
};

use memcg_trace_common::Hook;

use super::{Learned, Snapshot};
use crate::event::{DecodeError, Event};

/// What the hooks of one eBPF object emit.
pub trait HookEvent: Sized {
    /// Which of its hooks; the number is the index of its counters.
    type Hook: Copy + Ord + Hash + Debug + Into<u32> + 'static;
    /// What a look at the kernel brings instead, when events were lost or before there were any.
    type Snapshot: Clone + Debug + PartialEq + Eq;
    /// What is learned from others than the hooks.
    type Learned: Clone + Debug + PartialEq + Eq;
    type DecodeError: Display;

    fn decode(bytes: &[u8]) -> Result<Self, Self::DecodeError>;
    fn hook(&self) -> Self::Hook;
    fn cpu(&self) -> u32;
    /// Counts the events of this hook on this CPU from 1.
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
