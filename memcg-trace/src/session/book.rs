//! The state of a run: the ledger of its memcgs, their names, and counts by owner. Pure: depends only on the start,
//! records and times.

use std::mem;

use memcg_trace_common::ABSENT;

use super::Rollup;
use crate::{
    attribution::{Container, Facts, Names, NamesMissing, Question},
    event::{Event, Key},
    record::{Checkpoint, Clock, Learned, Outage, Record, Start},
    tracker::{Change, Found, Memcg, State, Tracker, TrackerConfig, What},
};

/// The books of a run.
pub struct Book {
    start: Start,
    tracker: Tracker,
    names: Names,
    rollup: Option<Rollup>,
    /// The latest time it was given.
    now_ns: u64,
    /// What came after that is not known: the recording cannot be read further.
    cut_off: bool,
    /// Changes of the last step.
    changes: Vec<Change>,
    revision: u64,
}

impl Book {
    /// Creates it. `rollup` counts freed memcgs by owner.
    pub fn new(mut start: Start, rollup: Option<Rollup>) -> Self {
        let tracker = Tracker::new(TrackerConfig {
            backend: start.backend,
            grace_ns: start.grace_ns,
            // If IDs cannot be read, only live memcgs would be counted.
            live_at_start: start.live.filter(|_| start.layout.layout.memcg_id != ABSENT),
            paths: mem::take(&mut start.paths),
        });
        let now_ns = start.started_ns;
        Self {
            start,
            tracker,
            names: Names::default(),
            rollup,
            now_ns,
            cut_off: false,
            changes: Vec::new(),
            revision: 0,
        }
    }

    /// Applies a record; see [`Book::changes`] for the result.
    pub fn apply(&mut self, record: &Record) {
        self.turn_page();
        self.revision += 1;
        match record {
            Record::Learned(Learned::NamesMissing(missing)) => {
                return self.names.missing = Some(missing.clone());
            }
            Record::Learned(Learned::Names { key, facts }) => return self.names.insert(*key, facts),
            Record::Event(event) => {
                self.now_ns = self.now_ns.max(event.t_ns());
                self.tracker.advance(event.t_ns(), &mut self.changes);
            }
            _ => {}
        }
        self.tracker.apply(record, &mut self.changes);
        self.roll_up();
    }

    /// Advances the time to `now_ns` (`CLOCK_MONOTONIC`).
    pub fn advance(&mut self, now_ns: u64) {
        self.turn_page();
        self.now_ns = self.now_ns.max(now_ns);
        let leaked = self.tracker.totals().leaked;
        self.tracker.advance(now_ns, &mut self.changes);
        // Those that died before the start leak without a change.
        self.revision += u64::from(!self.changes.is_empty() || leaked != self.tracker.totals().leaked);
        self.roll_up();
    }

    /// No more records will come; see [`Tracker::settle`].
    pub fn settle(&mut self) {
        self.turn_page();
        self.tracker.settle(self.now_ns, &mut self.changes);
        self.roll_up();
    }

    /// Takes over what was known at another time of a run; see [`Tracker::resume`].
    pub fn resume(&mut self, checkpoint: &Checkpoint) {
        self.turn_page();
        self.revision += 1;
        if let Some(rollup) = self.rollup.as_mut().filter(|_| self.revision == 1) {
            rollup.restart(checkpoint.t_ns);
        }
        self.now_ns = self.now_ns.max(checkpoint.t_ns);
        self.tracker.resume(checkpoint, &mut self.changes);
        for (memcg, facts) in &checkpoint.memcgs {
            self.names.replace(memcg.key, facts);
        }
        checkpoint.pods.iter().for_each(|pod| self.names.remember_bereft(pod));
        self.names.missing = checkpoint.names_missing.clone();
        self.roll_up();
    }

    /// Nothing was recorded for some time.
    pub fn interrupt(&mut self, outage: &Outage) {
        self.turn_page();
        self.revision += 1;
        self.now_ns = self.now_ns.max(outage.to_ns);
        self.tracker.interrupted(outage, &mut self.changes);
    }

    /// What follows cannot be read.
    pub fn cut_off(&mut self) {
        self.cut_off = true;
    }

    /// Whether the ledger has exactly what exists; see [`Tracker::conclusive`].
    pub fn conclusive(&self) -> bool {
        self.tracker.conclusive() && !self.cut_off
    }

    /// What is known by `since_ns` (`CLOCK_MONOTONIC`) is from before the start, and counts begin anew.
    pub fn begin_at(&mut self, since_ns: u64) {
        self.turn_page();
        self.start.started_ns = since_ns;
        self.tracker.recount();
        if let Some(rollup) = &mut self.rollup {
            rollup.restart(since_ns);
        }
    }

    /// What is known now, but for the memcgs.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            pods: self.names.bereft().cloned().collect(),
            names_missing: self.names.missing.clone(),
            ..self.tracker.checkpoint(self.now_ns)
        }
    }

    /// The memcgs that a checkpoint has, with what the node told of them; sorted.
    pub fn known(&self) -> Vec<(&Memcg, &[Facts])> {
        let mut known: Vec<_> =
            self.tracker.memcgs().map(|memcg| (memcg, self.names.facts_of(&memcg.key))).collect();
        known.sort_unstable_by_key(|(memcg, _)| memcg.key);
        known
    }

    /// Facts from before a recording that begins now with a checkpoint.
    pub fn start_at(&self, started_ns: u64, clock: Clock) -> Start {
        let (live, paths) = (self.tracker.live_at_start(), self.tracker.paths_at_start().clone());
        Start { started_ns, clock, live, paths, ..self.start.clone() }
    }

    /// Changes of the last step. Names of memcgs that it freed are kept until the next one.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Removes the changes of the last step, and the names of freed memcgs.
    fn turn_page(&mut self) {
        for change in self.changes.drain(..) {
            if let Some(memcg) = forgotten(&change) {
                self.names.remove(&memcg.key);
            }
        }
    }

    /// Counts the memcgs that were freed in this step.
    fn roll_up(&mut self) {
        let Some(rollup) = &mut self.rollup else { return };
        for memcg in self.changes.iter().filter_map(forgotten) {
            let container = self.names.container_of(&memcg.key, memcg.path.as_deref());
            rollup.forget(memcg, container.as_ref());
        }
    }

    /// Facts from the start, without the paths, which have moved to the ledger.
    pub fn start(&self) -> &Start {
        &self.start
    }

    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    pub fn rollup(&self) -> Option<&Rollup> {
        self.rollup.as_ref()
    }

    /// The latest known time (`CLOCK_MONOTONIC`, ns).
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Stays the same for as long as nothing but the time changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many sources have told of the container of a memcg.
    pub fn named(&self, key: &Key) -> usize {
        self.names.told_of(key)
    }

    /// The container of a memcg, if known.
    pub fn container_of(&self, memcg: &Memcg) -> Option<Container> {
        self.names.container_of(&memcg.key, memcg.path.as_deref())
    }

    /// Memcgs whose names were not looked up.
    pub fn names_missing(&self) -> Option<&NamesMissing> {
        self.names.missing.as_ref()
    }

    /// Whether any memcg leaked that died during the run.
    pub fn leaked(&self) -> bool {
        self.tracker.leaked().any(|memcg| !memcg.died_before_start())
    }

    /// All dying memcgs, sorted.
    pub fn dying(&self) -> Vec<Key> {
        let mut dying: Vec<Key> = self.tracker.dying().map(|memcg| memcg.key).collect();
        dying.sort_unstable();
        dying
    }

    /// The question about the memcg of an event, before the event is applied.
    pub fn question(&self, event: &Event) -> Option<(Key, Question)> {
        let key = Key::of(event).filter(|key| self.tracker.get(key).is_none())?;
        Some((key, Question::about(&self.tracker.path_of(event)?)?))
    }

    /// Questions about the memcgs found by a walk, and whether they are live: after the first walk about all, later
    /// about those whose creation was not seen.
    pub fn questions(&self, first: bool) -> impl Iterator<Item = (Key, Question, bool)> {
        let unseen = |memcg: &Memcg| memcg.online_ns.is_none() && !memcg.before_start;
        let unnamed = self.tracker.memcgs().filter(|memcg| !self.names.has(&memcg.key));
        unnamed.filter(move |memcg| first || unseen(memcg)).filter_map(|memcg| {
            let question = Question::about(memcg.path.as_deref()?)?;
            Some((memcg.key, question, memcg.state == State::Online))
        })
    }
}

/// The memcg freed by a change.
fn forgotten(change: &Change) -> Option<&Memcg> {
    match &change.what {
        What::Freed { memcg, .. } | What::Reconciled { memcg, found: Found::Freed } => Some(memcg),
        _ => None,
    }
}
