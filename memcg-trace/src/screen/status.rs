//! What the screen shows of a run at one instant: owned, so that it is drawn on a thread of its own. Large parts are shared
//! with the next instant as long as they stay the same.

use std::sync::Arc;

use memcg_trace_common::Hook;

use crate::{
    attribution::{ByOwner, Container, Owner, Workload},
    event::Key,
    record::{Clock, OutageReason, Start},
    report::{
        text,
        view::{EventKind, MemcgView, SlabCacheView, SlabSummary, Viewpoint},
    },
    session::History,
    slab::{Leak, SlabLedger, SlabRun, SlabState},
    tracker::{Id, Ids, Memcg, Totals},
    units::Time,
};

/// A run at one instant.
#[derive(Clone, Debug)]
pub struct Status {
    pub start: Arc<Start>,
    /// `CLOCK_MONOTONIC`, ns.
    pub now_ns: u64,
    pub totals: Totals,
    pub ids: Ids,
    /// What the dying memcgs are charged for, those of descendants once; `None`: not known for all.
    pub charged_bytes: Option<u64>,
    /// See [`crate::tracker::Tracker::conclusive`].
    pub conclusive: bool,
    pub names_missing: u64,
    pub history: History,
    /// All dying memcgs, in any order.
    pub zombies: Arc<[Arc<Zombie>]>,
    /// Memcgs that were created since the start and freed, by workload.
    pub freed: Arc<[(Owner, u64)]>,
    /// The latest events, oldest first.
    pub events: Arc<[Arc<EventLine>]>,
    /// `None`: slab caches are not followed.
    pub slab: Option<Arc<SlabStatus>>,
    /// `None`: it is live.
    pub playback: Option<PlaybackStatus>,
}

/// A dying memcg, with whatever the run knows of it.
#[derive(Clone, Debug)]
pub struct Zombie {
    pub memcg: Memcg,
    pub container: Option<Container>,
    /// Its workload.
    pub owner: Owner,
    /// How many sources had told of its container then.
    pub named: usize,
}

/// A change of the ledger, without what only JSON has.
#[derive(Clone, Debug)]
pub struct EventLine {
    /// In the order of the run.
    pub number: u64,
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    pub kind: EventKind,
    /// `None`: not about one memcg.
    pub key: Option<Key>,
    pub id: Id,
    /// See [`crate::report::view::EventView::elapsed_ns`].
    pub elapsed_ns: Option<u64>,
    pub path: Option<Box<[u8]>>,
    pub note: EventNote,
}

/// What an event says besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventNote {
    None,
    /// The path is that of the parent.
    AllocFailed {
        error: String,
        meaning: &'static str,
    },
    Lost {
        hook: Hook,
        cpu: u32,
        events: u64,
    },
    Missed {
        hook: Hook,
        firings: u64,
    },
    Outage {
        ns: u64,
        reason: OutageReason,
    },
    /// That many before it are not kept: more than anybody reads.
    Skipped {
        events: u64,
    },
}

/// Slab caches.
#[derive(Clone, Debug)]
pub struct SlabStatus {
    pub backend_reason: Option<String>,
    pub live: u64,
    pub leaked: u64,
    pub conclusive: bool,
    /// Families that only grow: what they have in common, caches at first and now.
    pub growing: Vec<(String, u64, u64)>,
    /// Those that were destroyed, and the leaked ones.
    pub caches: Vec<Arc<SlabLine>>,
}

/// A slab cache that was destroyed or leaked.
#[derive(Clone, Debug)]
pub struct SlabLine {
    pub name: String,
    pub state: SlabState,
    pub leak: Option<Leak>,
    pub since_ns: Option<u64>,
    pub objects: Option<u64>,
    pub bytes: Option<u64>,
    pub creator: Option<String>,
    pub module: Option<String>,
}

/// Where a replay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackStatus {
    pub started_ns: u64,
    pub at_ns: u64,
    pub ended_ns: u64,
    pub playing: bool,
    pub speed: u32,
    /// The reason why the recording ends there, if it is damaged.
    pub damage: Option<String>,
}

impl Status {
    /// The age of what was dying before the start: `>12.5s`.
    pub fn before_start(&self) -> String {
        format!(">{}", Time { ns: self.now_ns.saturating_sub(self.start.started_ns) })
    }

    /// The reason why it is not known what happened next, at the end of a damaged recording.
    pub fn cut_off(&self) -> Option<&str> {
        let ended = self.playback.as_ref().filter(|playback| playback.at_ns >= playback.ended_ns);
        ended.and_then(|playback| playback.damage.as_deref())
    }

    pub fn clock(&self) -> Clock {
        self.start.clock
    }

    pub fn viewpoint(&self) -> Viewpoint {
        let Start { clock, page_bytes, dying_unseen, .. } = *self.start;
        Viewpoint { clock, page_bytes, dying_unseen }
    }

    /// A dying memcg by its identity.
    pub fn zombie(&self, key: &Key) -> Option<&Arc<Zombie>> {
        self.zombies.iter().find(|zombie| zombie.memcg.key == *key)
    }
}

impl Zombie {
    pub fn new(memcg: &Memcg, container: Option<Container>, named: usize) -> Self {
        let owner = ByOwner::Workload.owner(container.as_ref(), memcg.path.as_deref());
        Self { memcg: memcg.clone(), container, owner, named }
    }

    /// The name of its workload; `-`: it has none.
    pub fn workload(&self) -> String {
        match &self.owner {
            Owner::Workload(Workload { part: None, .. }) => "-".to_owned(),
            owner => text::owner_name(owner),
        }
    }

    pub fn view(&self, status: &Status) -> MemcgView<'_> {
        MemcgView::new(&self.memcg, status.now_ns, &status.viewpoint())
    }
}

impl SlabStatus {
    /// Of the caches as they are at `now_ns` (`CLOCK_MONOTONIC`).
    pub fn new(run: &SlabRun, ledger: &SlabLedger, now_ns: u64) -> Self {
        let SlabSummary { live, leaked, conclusive, growing, .. } = SlabSummary::new(run, ledger);
        let gone = ledger.caches().filter(|cache| cache.state != SlabState::Live);
        let line = |cache| Arc::new(SlabLine::new(&SlabCacheView::new(cache, ledger, now_ns), now_ns));
        Self {
            backend_reason: run.backend_reason.clone(),
            live,
            leaked,
            conclusive,
            growing: growing.into_iter().map(|growing| (growing.family, growing.from, growing.to)).collect(),
            caches: gone.map(line).collect(),
        }
    }
}

impl SlabLine {
    fn new(cache: &SlabCacheView<'_>, now_ns: u64) -> Self {
        Self {
            name: cache.name.map(|name| name.to_string()).unwrap_or_default(),
            state: cache.state,
            leak: cache.leak,
            since_ns: cache.age_ns.map(|age_ns| now_ns.saturating_sub(age_ns)),
            objects: cache.objects,
            bytes: cache.bytes,
            creator: cache.creator.as_ref().map(ToString::to_string),
            module: cache.module.map(|module| module.to_string()),
        }
    }
}
