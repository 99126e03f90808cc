//! How a memcg of the ledger learns from events, and its changes.

use memcg_trace_common::Hook;

use crate::{
    event::{Event, Key, Task, parent_of},
    record::{Id, Memcg, Outage, State},
};

impl Id {
    /// The state of the ID according to an event.
    pub fn of(event: &Event) -> Self {
        match event.memcg_id().map(u16::try_from) {
            Some(Ok(0)) => Self::Released,
            Some(Ok(id)) => Self::Held { id, refs: event.id_refs() },
            Some(Err(_)) | None => Self::Unknown,
        }
    }
}

impl Memcg {
    /// A new memcg from the first event about it, [`State::Online`], without any times.
    pub(super) fn first_seen(key: Key, event: &Event) -> Self {
        let mut memcg = Self {
            key,
            cgroup_id: None,
            parent: None,
            level: None,
            state: State::Online,
            id: Id::of(event),
            path: None,
            path_truncated: false,
            before_start: false,
            online_ns: None,
            removed_ns: None,
            offline_ns: None,
            css_freed_ns: None,
            found_dying_ns: None,
            creator: None,
            remover: None,
            css_refs: None,
            charged_pages: None,
            slab_caches: None,
            pinned: None,
            leaked: false,
        };
        memcg.learn(event);
        memcg
    }

    /// Takes over facts from an event: constant ones once, measured ones each time.
    pub(super) fn learn(&mut self, event: &Event) {
        self.cgroup_id = self.cgroup_id.or(event.cgroup_id());
        self.parent = self.parent.or_else(|| parent_of(event));
        self.level = self.level.or(event.level());
        self.css_refs = event.css_refs().or(self.css_refs);
        self.charged_pages = event.charged_pages().or(self.charged_pages);
    }

    /// Advances the state; false if it is not later than the current one.
    pub(super) fn reach(&mut self, state: State) -> bool {
        let further = state > self.state;
        self.state = self.state.max(state);
        further
    }

    /// Start of the grace time: the start of its dying, or when a walk found it if that was not seen.
    pub(super) fn grace_since_ns(&self) -> Option<u64> {
        self.dying_since_ns().or(self.found_dying_ns)
    }
}

/// A change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    /// The thread that ran the hook; `None` for changes that were not caused by an event.
    pub task: Option<Task>,
    pub what: What,
}

/// Something that a walk found and no event had reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A memcg younger than the start whose creation was not seen.
    Added,
    /// A memcg that is gone.
    Freed,
}

/// The kinds of [`Change`]. A [`Key`] can be looked up in the ledger right after the call that reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Online(Key),
    Removed(Key),
    Offline(Key),
    /// The last css reference is gone.
    Released(Key),
    /// The css was freed, but not the memcg: on this kernel it outlives its css, and holds its ID until it is freed.
    CssFreed(Key),
    /// It has been removed from the ledger; this is its last state.
    Freed {
        memcg: Box<Memcg>,
        /// Time from offline (or from removal, if that was not seen) to free.
        dying_ns: Option<u64>,
        /// It had been dying for longer than the grace time.
        late: bool,
    },
    /// The grace time is over.
    Leaked(Key),
    /// A walk reconciled the ledger after lost or missed events.
    Reconciled {
        memcg: Box<Memcg>,
        found: Found,
    },
    AllocFailed {
        errno: u32,
        parent: Option<Key>,
    },
    /// Events of this hook that never arrived.
    Lost {
        hook: Hook,
        cpu: u32,
        events: u64,
    },
    /// Firings that the kernel skipped (kprobe nmissed, recursion), or a return without its entry.
    Missed {
        hook: Hook,
        firings: u64,
    },
    /// Nothing was recorded for some time: a walk or what the recording goes on with says what came of it.
    Outage(Outage),
}
