//! One memcg as the ledger knows it, and what can happen to it.

use memcg_trace_common::Hook;

use crate::event::{Event, Key, Task, parent_of};

/// Where a memcg is in its life; ordered as life goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It can be used.
    Online,
    /// The directory is gone, `css_offline` has not run.
    Removed,
    /// Offline and not freed: a zombie. Where memcgs outlive their csses (3.10), its css may be freed
    /// ([`Memcg::css_freed_ns`]).
    Dying,
    /// Its memory went back. Freed memcgs are counted and forgotten; only a [`Change`] ever shows this state.
    Freed,
}

/// What became of the 16-bit memcg ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// The memcg owns this ID; `refs` holders where known (one for each swapped-out page once dying).
    Held {
        id: u16,
        refs: Option<u32>,
    },
    Released,
    /// No hook told.
    Unknown,
}

/// The slab caches of one memcg at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabCopies {
    pub names: Vec<Box<[u8]>>,
    /// Each of them holds the memcg: it stays for as long as there are any.
    pub hold: bool,
}

/// One memcg of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memcg {
    pub key: Key,
    pub cgroup_id: Option<u64>,
    pub parent: Option<Key>,
    pub level: Option<u32>,
    pub state: State,
    pub id: Id,
    /// Path below the root of the hierarchy, raw bytes; `None`: no name was seen. A part that is not known reads `?`.
    pub path: Option<Box<[u8]>>,
    pub path_truncated: bool,
    /// It existed before the tool started.
    pub before_start: bool,
    /// `CLOCK_MONOTONIC` ns of each step, where it was seen.
    pub online_ns: Option<u64>,
    pub removed_ns: Option<u64>,
    pub offline_ns: Option<u64>,
    /// On kernels where a memcg outlives its css: when the css was freed. Something else holds the memcg, and its ID.
    pub css_freed_ns: Option<u64>,
    /// When a walk first saw it dying, of which no event had told: it has been dying for at least since then.
    pub found_dying_ns: Option<u64>,
    /// The thread that created it (at online), and the one that removed the directory.
    pub creator: Option<Task>,
    pub remover: Option<Task>,
    pub css_refs: Option<u64>,
    pub charged_pages: Option<u64>,
    /// Known of dying ones, where memcgs have slab caches of their own and somebody looked.
    pub slab_caches: Option<Box<SlabCopies>>,
    /// Dying for longer than the grace time; was reported.
    pub leaked: bool,
}

impl Id {
    /// What an event says about the ID.
    pub fn of(event: &Event) -> Self {
        match event.memcg_id().map(u16::try_from) {
            Some(Ok(0)) => Self::Released,
            Some(Ok(id)) => Self::Held { id, refs: event.id_refs() },
            Some(Err(_)) | None => Self::Unknown,
        }
    }
}

impl Memcg {
    /// A memcg as the first event about it shows it, [`State::Online`]; everything that comes in time is still missing.
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
            leaked: false,
        };
        memcg.learn(event);
        memcg
    }

    /// Takes over what an event knows: what stays the same once, what is measured each time.
    pub(super) fn learn(&mut self, event: &Event) {
        self.cgroup_id = self.cgroup_id.or(event.cgroup_id());
        self.parent = self.parent.or_else(|| parent_of(event));
        self.level = self.level.or(event.level());
        self.css_refs = event.css_refs().or(self.css_refs);
        self.charged_pages = event.charged_pages().or(self.charged_pages);
    }

    /// Life goes one way: true if this state is further than the one before.
    pub(super) fn reach(&mut self, state: State) -> bool {
        let further = state > self.state;
        self.state = self.state.max(state);
        further
    }

    /// From when its dying is counted, `CLOCK_MONOTONIC` ns: offline, or removal where offline was not seen.
    pub fn dying_since_ns(&self) -> Option<u64> {
        self.offline_ns.or(self.removed_ns)
    }

    /// From when the grace time runs: where the beginning of its dying was not seen, from when it was found.
    pub(super) fn grace_since_ns(&self) -> Option<u64> {
        self.dying_since_ns().or(self.found_dying_ns)
    }

    /// It was dying when the tool started: nothing that was traced killed it.
    pub fn died_before_start(&self) -> bool {
        self.state == State::Dying && self.before_start && self.dying_since_ns().is_none()
    }
}

/// What an event did to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    /// The thread that ran the hook; `None` for what the ledger found out by itself.
    pub task: Option<Task>,
    pub what: What,
}

/// What a walk found that no event had told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It exists, and its birth was not seen although it is younger than the start.
    Added,
    /// It is gone.
    Freed,
}

/// The kinds of [`Change`]. A [`Key`] can be looked up in the ledger right after the call that returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Online(Key),
    Removed(Key),
    Offline(Key),
    /// The last css reference is gone.
    Released(Key),
    /// The css was freed, the memcg was not: it outlives its css on this kernel, and holds its ID as long as it lives.
    CssFreed(Key),
    /// The ledger has forgotten it: here it is for the last time.
    Freed {
        memcg: Box<Memcg>,
        /// From offline (or, if that was not seen, from removal) to free.
        dying_ns: Option<u64>,
        /// It had been dying for longer than the grace time.
        late: bool,
    },
    /// Grace time over.
    Leaked(Key),
    /// A walk made good for what was lost or missed.
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
