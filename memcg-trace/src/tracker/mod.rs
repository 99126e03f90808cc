//! The ledger: turns events into changes of memcgs. No I/O, no clock, no logging; time comes from events and
//! [`Tracker::advance`].
//!
//! What it guarantees:
//!
//! - **Conservation.** `created + adopted == live + removed + dying + freed`, after any sequence of events.
//! - **One way.** A memcg never goes back to an earlier [`State`]. Events may come in any order: a late one adds its
//!   facts, and one about a freed memcg is recognised and changes no state (serial numbers are unique; the last few
//!   thousand freed memcgs are remembered).
//! - **Each step once.** A change of state is reported when it is first seen, not when a late event repeats it. (Copies
//!   of one event are dropped by [`crate::record::Merge`].)
//! - **No false calm.** Lost or missed events make [`Tracker::conclusive`] false until a walk has reconciled the
//!   ledger.
//! - **Bounded.** Memory is proportional to the existing memcgs; freed ones are counted and removed.
//!
//! Limits of the backends: the tracepoint backend has no css_offline. There, removal counts as both: it results in
//! [`What::Removed`] and [`What::Offline`], and the memcg is dying from then on. A disabled controller is only seen
//! when the cgroup is removed; until then, such a memcg without a successor counts as live.

mod alloc_error;
mod checkpoint;
mod dying_charge;
mod forecast;
mod ids;
mod ledger;
mod life;
mod memcg;
mod path;
mod recent;
mod totals;
mod walk;

use std::collections::HashMap;

pub use alloc_error::AllocError;
pub use forecast::Exhaustion;
pub use ids::Ids;
pub use memcg::{Change, Found, What};
pub use totals::Totals;

pub use crate::record::{Id, Memcg, SlabCopies, State};

use self::{forecast::Forecast, ledger::Ledger, path::Paths, recent::Recent};
use crate::{
    event::{Event, ID_LIMIT, Key},
    record::{Backend, CacheCopies, Learned, Loss, PinsRead, Record, Snapshot},
};

/// The tracker's configuration, and facts from before the first event.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    pub backend: Backend,
    /// A memcg that has been dying for this long counts as leaked, ns.
    pub grace_ns: u64,
    /// Number of live memcgs at the start that no walk will report, the root included; `None`: not counted.
    pub live_at_start: Option<u64>,
    /// Path of each cgroup at the start, by cgroup id; the root's is `/`.
    pub paths: HashMap<u64, Box<[u8]>>,
}

/// The ledger and its state.
#[derive(Debug)]
pub struct Tracker {
    backend: Backend,
    grace_ns: u64,
    ledger: Ledger,
    paths: Paths,
    /// Number of memcgs that were live at the start and have not been adopted since.
    live_at_start: Option<u64>,
    /// Lowest serial number whose creation was seen: a memcg with a higher one cannot be older than the start.
    first_serial: Option<u64>,
    /// Recently freed memcgs, and whether they were counted as adopted.
    freed: Recent<Key, bool>,
    /// Recently released cgroups, with the time (ns): cgroup ids are reused on old kernels.
    released: Recent<u64, u64>,
    /// The hook could not read the ID at the return of `css_offline`.
    ids_hidden: bool,
    forecast: Forecast,
    loss: Loss,
}

impl Tracker {
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            backend: config.backend,
            grace_ns: config.grace_ns,
            ledger: Ledger::default(),
            paths: Paths::new(config.paths),
            live_at_start: config.live_at_start,
            first_serial: None,
            freed: Recent::new(),
            released: Recent::new(),
            ids_hidden: false,
            forecast: Forecast::default(),
            loss: Loss::default(),
        }
    }

    /// The ledger of one walk, which nothing came before and nothing follows: in it nothing leaks.
    pub fn of_walk(snapshot: &Snapshot) -> Self {
        let (backend, grace_ns, live_at_start) = (Backend::Kprobe, u64::MAX, Some(0));
        let mut tracker =
            Self::new(TrackerConfig { backend, grace_ns, live_at_start, paths: HashMap::new() });
        tracker.walked(snapshot, &mut Vec::new());
        tracker
    }

    /// Applies one record; its changes are appended to `out`.
    pub fn apply(&mut self, record: &Record, out: &mut Vec<Change>) {
        let totals = self.ledger.totals_mut();
        let (t_ns, what) = match *record {
            Record::Event(ref event) => return self.event(event, out),
            Record::Walk(ref snapshot) => return self.walked(snapshot, out),
            Record::Lost { t_ns, hook, cpu, events } => {
                totals.lost_events = totals.lost_events.saturating_add(events);
                (t_ns, What::Lost { hook, cpu, events })
            }
            Record::Missed { t_ns, hook, firings } => {
                totals.missed_firings = totals.missed_firings.saturating_add(firings);
                (t_ns, What::Missed { hook, firings })
            }
            Record::Learned(Learned::Names { .. } | Learned::NamesMissing(_)) => return,
            Record::Learned(Learned::Copies(ref copies)) => return self.have_copies(copies),
            Record::Learned(Learned::Pins(ref pins)) => return self.are_pinned(pins),
        };
        self.loss.happened(t_ns);
        out.push(Change { t_ns, task: None, what });
    }

    /// Stores the slab caches of dying memcgs; memcgs freed meanwhile are ignored.
    fn have_copies(&mut self, copies: &CacheCopies) {
        let hold = copies.hold;
        for (key, names) in &copies.of {
            self.ledger.edit(key, |memcg| {
                if memcg.state == State::Dying {
                    memcg.slab_caches = Some(Box::new(SlabCopies { names: names.clone(), hold }));
                }
            });
        }
    }

    /// Stores the pins of dying memcgs; memcgs freed meanwhile are ignored.
    fn are_pinned(&mut self, pins: &PinsRead) {
        for (key, pinned) in &pins.of {
            self.ledger.edit(key, |memcg| {
                if memcg.state == State::Dying {
                    memcg.pinned = Some(Box::new(pinned.clone()));
                }
            });
        }
    }

    /// The memcgs that count as leaked at `now_ns`, in order of time.
    pub fn due(&self, now_ns: u64) -> impl Iterator<Item = Key> {
        let is_due = move |(since_ns, _): &(u64, Key)| since_ns.saturating_add(self.grace_ns) <= now_ns;
        self.ledger.waiting().take_while(is_due).map(|(_, key)| key)
    }

    /// Advances the time (`CLOCK_MONOTONIC`, ns): memcgs that have been dying for the grace time become leaked, as of
    /// the end of their grace time.
    pub fn advance(&mut self, now_ns: u64, out: &mut Vec<Change>) {
        while let Some((since_ns, key)) = self.ledger.longest_waiting() {
            let t_ns = since_ns.saturating_add(self.grace_ns);
            if t_ns > now_ns {
                break;
            }
            let before = self.ledger.edit(&key, |memcg| {
                memcg.leaked = true;
                memcg.died_before_start()
            });
            // Do not report memcgs that died before the start; the summary has them.
            if before != Some(true) {
                out.push(Change { t_ns, task: None, what: What::Leaked(key) });
            }
        }
        self.reconcile(now_ns, out);
        // What was lost may have come or gone.
        if let Some(used) = self.ids_used().filter(|_| !self.loss.is_open()) {
            self.forecast.sample(now_ns, used);
        }
    }

    pub fn get(&self, key: &Key) -> Option<&Memcg> {
        self.ledger.get(key)
    }

    /// The path that an event's memcg will have, before the event is applied.
    pub fn path_of(&self, event: &Event) -> Option<Box<[u8]>> {
        self.paths.resolve(event, &self.ledger).0
    }

    /// All memcgs that are known and not freed, in any order.
    pub fn memcgs(&self) -> impl Iterator<Item = &Memcg> {
        self.ledger.memcgs()
    }

    /// The dying memcgs, including leaked ones, in any order.
    pub fn dying(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs().filter(|memcg| memcg.state == State::Dying)
    }

    /// The memcgs that have been dying for longer than the grace time, in any order.
    pub fn leaked(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs().filter(|memcg| memcg.leaked)
    }

    pub fn totals(&self) -> &Totals {
        self.ledger.totals()
    }

    /// Whether nothing was lost or missed, or a walk has reconciled the ledger since: it has exactly the existing
    /// memcgs. After a reconciled loss, the counts of created and freed memcgs are lower bounds.
    pub fn conclusive(&self) -> bool {
        !self.loss.is_open() && self.totals().unidentified == 0
    }

    pub fn ids(&self) -> Ids {
        Ids {
            used: self.ids_used(),
            limit: ID_LIMIT,
            held_by_dying: match self.backend {
                Backend::Kprobe if !self.ids_hidden => Some(self.ledger.held_by_dying()),
                _ => None,
            },
            exhaustion: self.forecast.exhaustion(),
        }
    }

    /// Whether a walk has been applied: what was there at the start is known from then on.
    pub fn has_walked(&self) -> bool {
        self.loss.has_walked()
    }

    /// What the dying memcgs are charged for, in pages, charges of descendants once; `None`: not known for all.
    pub fn charged_to_dying(&self) -> Option<u64> {
        self.ledger.charged_to_dying()
    }

    /// See [`Ids::used`].
    pub fn ids_used(&self) -> Option<u64> {
        let Totals { live, removed, .. } = *self.totals();
        if self.ids_hidden {
            return None;
        }
        let used = self.live_at_start.map(|at_start| at_start + live + removed + self.ledger.held_by_dying());
        // The root has one: nothing was seen so far.
        used.filter(|used| *used > 0)
    }
}
