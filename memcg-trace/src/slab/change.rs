//! What the ledger tells.

use memcg_trace_common::SlabHook;

use super::{Cache, Creator, Number};
use crate::event::Task;

/// Something that the ledger learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    pub what: What,
}

/// What it learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Created(Number),
    /// A cache that exists was given out under another name: [`Cache::asked`] ends with it.
    Aliased(Number),
    /// One of its names was destroyed; which one may become known later.
    Unaliased {
        number: Number,
        task: Option<Task>,
    },
    Destroying(Number),
    Leaked(Number),
    /// It is gone from the ledger.
    Released {
        cache: Box<Cache>,
        late: bool,
    },
    Failed {
        name: Box<[u8]>,
        creator: Creator,
    },
    Lost {
        hook: SlabHook,
        cpu: u32,
        events: u64,
    },
    Missed {
        hook: SlabHook,
        firings: u64,
    },
}
