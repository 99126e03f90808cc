//! What is known of a run so far: the ledger of its memcgs, their names, and how many had which owner. Pure: the same start,
//! records and times make the same book.

use std::mem;

use memcg_trace_common::ABSENT;

use super::Rollup;
use crate::{
    attribution::{ByOwner, Container, Names, NamesMissing, Question},
    event::{Event, Key},
    record::{Record, Start},
    tracker::{Change, Config, Found, Memcg, State, Tracker, What},
};

/// The books of a run.
pub struct Book {
    start: Start,
    tracker: Tracker,
    names: Names,
    rollup: Option<Rollup>,
    /// The latest that it was told.
    now_ns: u64,
    /// Of the last step.
    changes: Vec<Change>,
}

impl Book {
    /// Opens it. `by`: memcgs that the ledger forgets are counted by their owners.
    pub fn new(mut start: Start, by: Option<ByOwner>) -> Self {
        let tracker = Tracker::new(Config {
            backend: start.backend,
            grace_ns: start.grace_ns,
            // Without IDs to be seen, live memcgs would be the only ones that count.
            live_at_start: start.live.filter(|_| start.layout.layout.memcg_id != ABSENT),
            paths: mem::take(&mut start.paths),
        });
        let (now_ns, rollup) = (start.started_ns, by.map(Rollup::new));
        Self { start, tracker, names: Names::default(), rollup, now_ns, changes: Vec::new() }
    }

    /// Takes a record; see [`Book::changes`] for what it did.
    pub fn apply(&mut self, record: &Record) {
        self.turn_page();
        match record {
            Record::NamesMissing(missing) => return self.names.missing = Some(missing.clone()),
            Record::Names { key, facts } => return self.names.insert(*key, facts),
            Record::Event(event) => {
                self.now_ns = self.now_ns.max(event.t_ns());
                self.tracker.advance(event.t_ns(), &mut self.changes);
            }
            _ => {}
        }
        self.tracker.apply(record, &mut self.changes);
        self.roll_up();
    }

    /// Time is `now_ns` (`CLOCK_MONOTONIC`).
    pub fn advance(&mut self, now_ns: u64) {
        self.turn_page();
        self.now_ns = self.now_ns.max(now_ns);
        self.tracker.advance(now_ns, &mut self.changes);
        self.roll_up();
    }

    /// No more records will come; see [`Tracker::settle`].
    pub fn settle(&mut self) {
        self.turn_page();
        self.tracker.settle(&mut self.changes);
        self.roll_up();
    }

    /// What the last step did. Until the next one, names of memcgs that it was the end of are still known.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Forgets the changes of the last step, and names with their memcgs.
    fn turn_page(&mut self) {
        for change in self.changes.drain(..) {
            if let Some(memcg) = forgotten(&change) {
                self.names.remove(&memcg.key);
            }
        }
    }

    /// Counts the memcgs that the ledger has just forgotten.
    fn roll_up(&mut self) {
        let Some(rollup) = &mut self.rollup else { return };
        for memcg in self.changes.iter().filter_map(forgotten) {
            let container = self.names.container_of(&memcg.key, memcg.path.as_deref());
            rollup.forget(memcg, container.as_ref());
        }
    }

    /// What was known at the start; its paths are with the ledger.
    pub fn start(&self) -> &Start {
        &self.start
    }

    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    pub fn rollup(&self) -> Option<&Rollup> {
        self.rollup.as_ref()
    }

    /// The latest instant that it knows of (`CLOCK_MONOTONIC`, ns).
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What a memcg belongs to, as far as is known.
    pub fn container_of(&self, memcg: &Memcg) -> Option<Container> {
        self.names.container_of(&memcg.key, memcg.path.as_deref())
    }

    /// Memcgs that the node was not asked about.
    pub fn names_missing(&self) -> Option<&NamesMissing> {
        self.names.missing.as_ref()
    }

    /// A memcg leaked that died meanwhile.
    pub fn leaked(&self) -> bool {
        self.tracker.leaked().any(|memcg| !memcg.died_before_start())
    }

    /// All that are dying, in order.
    pub fn dying(&self) -> Vec<Key> {
        let mut dying: Vec<Key> = self.tracker.dying().map(|memcg| memcg.key).collect();
        dying.sort_unstable();
        dying
    }

    /// What there is to find out about the memcg that an event brings; asked before the event is applied.
    pub fn question(&self, event: &Event) -> Option<(Key, Question)> {
        let key = Key::of(event).filter(|key| self.tracker.get(key).is_none())?;
        Some((key, Question::about(&self.tracker.path_of(event)?)?))
    }

    /// What there is to find out about the memcgs that a walk brought, and whether they live: after the first walk about
    /// all, then about those whose birth went unseen.
    pub fn questions(&self, first: bool) -> impl Iterator<Item = (Key, Question, bool)> {
        let unseen = |memcg: &Memcg| memcg.online_ns.is_none() && !memcg.before_start;
        let unnamed = self.tracker.memcgs().filter(|memcg| !self.names.has(&memcg.key));
        unnamed.filter(move |memcg| first || unseen(memcg)).filter_map(|memcg| {
            let question = Question::about(memcg.path.as_deref()?)?;
            Some((memcg.key, question, memcg.state == State::Online))
        })
    }
}

/// The memcg that a change was the end of.
fn forgotten(change: &Change) -> Option<&Memcg> {
    match &change.what {
        What::Freed { memcg, .. } | What::Reconciled { memcg, found: Found::Freed } => Some(memcg),
        _ => None,
    }
}
