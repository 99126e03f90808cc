//! A memcg of the ledger, and its changes.

use memcg_trace_common::Hook;

use crate::{
    cause::Pinned,
    event::{Event, Key, Task, parent_of},
};

/// State of a memcg; in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In use.
    Online,
    /// The directory is gone, `css_offline` has not run yet.
    Removed,
    /// Offline and not freed: a zombie. Where memcgs outlive their csses (3.10), its css may already be freed
    /// ([`Memcg::css_freed_ns`]).
    Dying,
    /// Freed. Freed memcgs are counted and removed from the ledger; only a [`Change`] ever has this state.
    Freed,
}

/// State of the 16-bit memcg ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// The memcg owns this ID; `refs` references where known (for a dying one, one per swapped-out page).
    Held {
        id: u16,
        refs: Option<u32>,
    },
    Released,
    /// No hook has reported it.
    Unknown,
}

/// The slab caches of one memcg at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabCaches {
    pub names: Vec<Box<[u8]>>,
    /// Whether these caches pin the memcg.
    pub hold: bool,
}

/// A memcg of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memcg {
    pub key: Key,
    pub cgroup_id: Option<u64>,
    pub parent: Option<Key>,
    pub level: Option<u32>,
    pub state: State,
    pub id: Id,
    /// Path below the root of the hierarchy, raw bytes; `None`: no name was seen. An unknown part is `?`.
    pub path: Option<Box<[u8]>>,
    pub path_truncated: bool,
    /// It existed before the tool started.
    pub before_start: bool,
    /// Time of each step, if seen (`CLOCK_MONOTONIC`, ns).
    pub online_ns: Option<u64>,
    pub removed_ns: Option<u64>,
    pub offline_ns: Option<u64>,
    /// Where memcgs outlive their csses (3.10): time when the css was freed. Something else pins the memcg, and its ID.
    pub css_freed_ns: Option<u64>,
    /// Time when a walk first found it dying, if no event had reported that: it has been dying at least since then.
    pub found_dying_ns: Option<u64>,
    /// The thread that created the memcg (at online), and the one that removed the directory.
    pub creator: Option<Task>,
    pub remover: Option<Task>,
    pub css_refs: Option<u64>,
    pub charged_pages: Option<u64>,
    /// Known for dying memcgs, if they have their own slab caches and these were read.
    pub slab_caches: Option<Box<SlabCaches>>,
    /// What refers to it: known of dying memcgs, if somebody looked.
    pub pinned: Option<Box<Pinned>>,
    /// Dying for longer than the grace time, and reported.
    pub leaked: bool,
}

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

    /// Start of its dying, `CLOCK_MONOTONIC` ns: offline, or removal if offline was not seen.
    pub fn dying_since_ns(&self) -> Option<u64> {
        self.offline_ns.or(self.removed_ns)
    }

    /// Start of the grace time: the start of its dying, or when a walk found it if that was not seen.
    pub(super) fn grace_since_ns(&self) -> Option<u64> {
        self.dying_since_ns().or(self.found_dying_ns)
    }

    /// Whether it was already dying when the tool started.
    pub fn died_before_start(&self) -> bool {
        self.state == State::Dying && self.before_start && self.dying_since_ns().is_none()
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
}
