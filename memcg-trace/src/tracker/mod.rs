//! The ledger: events in, what became of the memcgs out. No I/O, no clock, no logging; time comes in events and in
//! [`Tracker::advance`].
//!
//! What it guarantees:
//!
//! - **Conservation.** `created + adopted == live + removed + dying + freed`, after any events whatsoever.
//! - **One way.** A memcg never goes back to an earlier [`State`]. Events may come in any order: one that is too late adds
//!   the facts it carries, and one about a memcg that was freed is recognised and changes no state (serial numbers are
//!   unique; the last few thousand freed memcgs are remembered).
//! - **Each step once.** A change of state is told when it is first seen, not when a late event repeats it. (Copies of one
//!   event are dropped by [`crate::source::Merge`].)
//! - **No false calm.** Whatever was lost or missed makes [`Tracker::conclusive`] false until a walk made good for it.
//! - **Bounded.** Memory follows the memcgs that exist; a freed one is counted and forgotten.
//!
//! What the backends cannot see: the tracepoint backend has no css_offline. There, removal counts as both: it returns
//! [`What::Removed`] and [`What::Offline`], and the memcg is dying from then on. A controller that was switched off shows
//! only when the cgroup is removed, and a switched-off memcg without successor counts as live until then.

mod ids;
mod ledger;
mod life;
mod memcg;
mod path;
mod recent;
mod totals;
mod walk;

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

pub use ids::{ID_LIMIT, Ids};
pub use memcg::{Change, Found, Id, Key, Memcg, SlabCaches, State, Task, What};
pub use totals::Totals;

use self::{ids::Forecast, ledger::Ledger, path::Paths, recent::Recent, walk::Loss};
use crate::{event::Event, source::Record};

/// Which hooks feed the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The css callbacks of the memory controller, and `cgroup_rmdir`.
    Kprobe,
    /// `cgroup_mkdir`, `cgroup_rmdir` and `cgroup_release`.
    Tracepoint,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        })
    }
}

/// What the tracker knows before the first event.
#[derive(Clone, Debug)]
pub struct Config {
    pub backend: Backend,
    /// A memcg that is dying for this long counts as leaked, ns.
    pub grace_ns: u64,
    /// How many memcgs that no walk will bring were live at the start, the root included; `None`: not counted.
    pub live_at_start: Option<u64>,
    /// Path of each cgroup at the start, by cgroup id; the root's is `/`.
    pub paths: HashMap<u64, Box<[u8]>>,
}

/// The ledger and what surrounds it.
#[derive(Debug)]
pub struct Tracker {
    backend: Backend,
    grace_ns: u64,
    ledger: Ledger,
    paths: Paths,
    /// Memcgs that were live at the start and have not been adopted since.
    live_at_start: Option<u64>,
    /// Lowest serial number whose birth was seen: a memcg with a higher one cannot be older than the start.
    first_serial: Option<u64>,
    /// Memcgs freed of late, and whether they were counted as adopted.
    freed: Recent<Key, bool>,
    /// Cgroups released of late, and when (ns): cgroup ids are reused on old kernels.
    released: Recent<u64, u64>,
    /// Where `css_offline` returned, the hook could not read the ID.
    ids_hidden: bool,
    forecast: Forecast,
    loss: Loss,
}

impl Tracker {
    pub fn new(config: Config) -> Self {
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

    /// Takes one record; what it did is appended to `out`.
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
            Record::Names { .. } | Record::NamesMissing(_) => return,
            Record::Caches { hold, ref of, .. } => return self.has_caches(hold, of),
        };
        self.loss.happened(t_ns);
        out.push(Change { t_ns, task: None, what });
    }

    /// What was read of those that are dying; others have come and gone meanwhile.
    fn has_caches(&mut self, hold: bool, of: &[(Key, Vec<Box<[u8]>>)]) {
        for (key, names) in of {
            self.ledger.edit(key, |memcg| {
                if memcg.state == State::Dying {
                    memcg.slab_caches = Some(Box::new(SlabCaches { names: names.clone(), hold }));
                }
            });
        }
    }

    /// Those that become leaked when time is `now_ns`, in the order in which they do.
    pub fn due(&self, now_ns: u64) -> impl Iterator<Item = Key> {
        let is_due = move |(since_ns, _): &(u64, Key)| since_ns.saturating_add(self.grace_ns) <= now_ns;
        self.ledger.waiting().take_while(is_due).map(|(_, key)| key)
    }

    /// Time passes (`CLOCK_MONOTONIC`, ns): what has been dying for the grace time becomes leaked, as of the instant at
    /// which the grace time was over.
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
            // What died before the start is no news; the summary has it.
            if before != Some(true) {
                out.push(Change { t_ns, task: None, what: What::Leaked(key) });
            }
        }
        self.reconcile(now_ns, out);
        if let Some(used) = self.ids_used() {
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

    /// All memcgs that are known and not freed, in no particular order.
    pub fn memcgs(&self) -> impl Iterator<Item = &Memcg> {
        self.ledger.memcgs()
    }

    /// Those online, in no particular order.
    pub fn live(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs().filter(|memcg| memcg.state == State::Online)
    }

    /// Those dying, leaked ones included, in no particular order.
    pub fn dying(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs().filter(|memcg| memcg.state == State::Dying)
    }

    /// Those dying for longer than the grace time, in no particular order.
    pub fn leaked(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs().filter(|memcg| memcg.leaked)
    }

    pub fn totals(&self) -> &Totals {
        self.ledger.totals()
    }

    /// Nothing was lost or missed, or a walk has made good for it: the ledger has every memcg that exists and no other.
    /// After a loss that was made good, counts of what came and went are lower bounds.
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
            exhausted_in_ns: self.forecast.exhausted_in_ns(),
        }
    }

    fn ids_used(&self) -> Option<u64> {
        let Totals { live, removed, .. } = *self.totals();
        if self.ids_hidden {
            return None;
        }
        self.live_at_start.map(|at_start| at_start + live + removed + self.ledger.held_by_dying())
    }
}
