//! The ledger as a table: what happens, what is told, what the ledger says afterwards.

mod by_cgroup;
mod checkpoints;
mod ids;
mod lives;
mod order;
mod paths;
mod switched_off;
mod walks;

use std::collections::HashMap;

use crate::events::{Css, Fired, MS, css};
use memcg_trace::{
    event::Event,
    record::{Backend, CacheCopies, Learned, Record, Snapshot},
    tracker::{Change, Found, Id, Memcg, State, Totals, Tracker, TrackerConfig, What},
};
use memcg_trace_common::{Field, Hook};

const GRACE_MS: u64 = 5_000;

/// A tracker that writes down what it is told and what it tells.
struct Ledger {
    tracker: Tracker,
    told: Vec<String>,
}

fn kprobe() -> Ledger {
    Ledger::new(Backend::Kprobe)
}

fn tracepoint() -> Ledger {
    Ledger::new(Backend::Tracepoint)
}

impl Ledger {
    fn new(backend: Backend) -> Self {
        Self::with(TrackerConfig {
            backend,
            grace_ns: GRACE_MS * MS,
            live_at_start: None,
            paths: HashMap::new(),
        })
    }

    fn with(config: TrackerConfig) -> Self {
        Self { tracker: Tracker::new(config), told: Vec::new() }
    }

    fn events(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            self = self.record(Record::Event(event));
        }
        self
    }

    fn record(mut self, record: Record) -> Self {
        let mut out = Vec::new();
        self.tracker.apply(&record, &mut out);
        self.write_down(out)
    }

    /// A walk that begins and ends at `ms`.
    fn walk(self, ms: u64, seen: impl IntoIterator<Item = Fired>) -> Self {
        let events = seen.into_iter().map(|fired| fired.at(ms)).collect();
        self.record(Record::Walk(Snapshot {
            began_ns: ms * MS,
            ended_ns: ms * MS,
            events,
            ..Snapshot::default()
        }))
    }

    fn lost(self, ms: u64, events: u64) -> Self {
        self.record(Record::Lost { t_ns: ms * MS, hook: Hook::CssFree, cpu: 0, events })
    }

    fn time(mut self, ms: u64) -> Self {
        let mut out = Vec::new();
        self.tracker.advance(ms * MS, &mut out);
        self.write_down(out)
    }

    fn write_down(mut self, out: Vec<Change>) -> Self {
        for change in out {
            let what = self.describe(&change.what);
            self.told.push(format!("{} {what}", change.t_ns / MS));
        }
        let Totals { created, adopted, live, removed, dying, freed, .. } = *self.tracker.totals();
        assert_eq!(created + adopted, live + removed + dying + freed, "{:?}", self.tracker.totals());
        self
    }

    fn describe(&self, what: &What) -> String {
        let path = |key| path(self.tracker.get(key).expect("changes name memcgs of the ledger"));
        match what {
            What::Online(key) => format!("online {}", path(key)),
            What::Removed(key) => format!("removed {}", path(key)),
            What::Offline(key) => format!("offline {}", path(key)),
            What::Released(key) => format!("released {}", path(key)),
            What::CssFreed(key) => format!("css freed {}", path(key)),
            What::Leaked(key) => format!("leaked {}", path(key)),
            What::Freed { memcg, dying_ns, late } => {
                let after = dying_ns.map_or("?".into(), |ns| (ns / MS).to_string());
                format!("freed {} after {after}{}", self::path(memcg), if *late { " late" } else { "" })
            }
            What::AllocFailed { errno, parent } => {
                format!("alloc failed {errno} below {:?}", parent.map(|key| key.serial))
            }
            What::Lost { hook, cpu, events } => format!("lost {events} {hook:?} cpu {cpu}"),
            What::Missed { hook, firings } => format!("missed {firings} {hook:?}"),
            What::Reconciled { memcg, found: Found::Added } => format!("added {}", self::path(memcg)),
            What::Reconciled { memcg, found: Found::Freed } => format!("gone {}", self::path(memcg)),
            What::Outage(outage) => format!("outage {}", outage.reason.name()),
        }
    }

    #[track_caller]
    fn told(self, told: &[&str]) -> Self {
        assert_eq!(self.told, told);
        self
    }

    fn memcg(&self, css: &Css) -> &Memcg {
        self.tracker.get(&css.key).expect("the ledger holds it")
    }

    /// One line for each memcg, by serial number.
    #[track_caller]
    fn holds(self, lines: &[&str]) -> Self {
        let mut memcgs: Vec<&Memcg> = self.tracker.memcgs().collect();
        memcgs.sort_by_key(|memcg| (memcg.key.serial, memcg.key.css));
        let held: Vec<String> = memcgs.into_iter().map(line).collect();
        assert_eq!(held, lines);
        self
    }

    #[track_caller]
    fn totals(self, expected: impl FnOnce(&mut Totals)) -> Self {
        let mut totals = Totals::default();
        expected(&mut totals);
        assert_eq!(*self.tracker.totals(), totals);
        self
    }
}

fn path(memcg: &Memcg) -> String {
    memcg.path.as_ref().map_or("?".into(), |path| path.escape_ascii().to_string())
}

fn line(memcg: &Memcg) -> String {
    let state = match memcg.state {
        State::Online => "online",
        State::Removed => "removed",
        State::Dying => "dying",
        State::Freed => "freed",
    };
    let id = match memcg.id {
        Id::Held { id, refs: Some(refs) } => format!("id {id} refs {refs}"),
        Id::Held { id, refs: None } => format!("id {id}"),
        Id::Released => "id released".into(),
        Id::Unknown => "id unknown".into(),
    };
    let adopted = if memcg.before_start { ", before start" } else { "" };
    let leaked = if memcg.leaked { ", leaked" } else { "" };
    format!("{} {state}, {id}{adopted}{leaked}", path(memcg))
}

/// A whole life, from online at `ms` to css_offline 30 ms later.
fn zombie(css: &Css, ms: u64) -> [Event; 4] {
    [
        css.online().at(ms),
        css.rmdir().at(ms + 10),
        css.offline_enter().at(ms + 29),
        css.offline_id_released().at(ms + 30),
    ]
}
