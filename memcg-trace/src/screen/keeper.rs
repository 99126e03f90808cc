//! The observer that keeps what the screen shows. It is told between two drains: it copies what changed, and neither sorts
//! nor formats.

use std::{collections::VecDeque, sync::Arc};

use anyhow::Result;
use foldhash::{HashMap, HashMapExt as _};

use super::status::{EventLine, EventNote, SlabStatus, Status, Zombie};
use crate::{
    attribution::Owner,
    event::Key,
    record::{Outage, Start},
    report::view::{Detail, EventView, Viewpoint, subject},
    session::{Book, History, Observer, Rollup, SlabObserver, SlabWatcher},
    slab,
    tracker::{Change, Id, Memcg, What},
};

/// Events that can be scrolled through.
const EVENTS_MAX: usize = 1_000;
/// Events that are kept between two looks: more scroll past unread. Those that matter are kept in any case.
const EVENTS_BETWEEN: usize = 200;
/// Zombies that are copied in one look, lest the first of many delays the drain: some 10 ms.
const ZOMBIES_AT_ONCE: usize = 2_000;
/// Width of the first buckets of the history, ns.
const BUCKET_NS: u64 = 1_000_000_000;

/// Keeps what the screen shows of a run.
pub struct StatusKeeper {
    start: Arc<Start>,
    viewpoint: Viewpoint,
    history: History,
    zombies: Parts<[Arc<Zombie>]>,
    by_key: HashMap<Key, Arc<Zombie>>,
    freed: Parts<[(Owner, u64)]>,
    events: VecDeque<Arc<EventLine>>,
    /// As told to the last look; `None`: some came since.
    told: Option<Arc<[Arc<EventLine>]>>,
    /// Number of the next event.
    number: u64,
    /// Events since the last look.
    between: usize,
    /// Those that were not kept since the last one that was.
    skipped: u64,
    slab: Option<Arc<SlabStatus>>,
    slab_changed: bool,
}

/// A shared part, and the revision of the book that it is of.
struct Parts<T: ?Sized> {
    of: Option<u64>,
    all: Arc<T>,
}

impl StatusKeeper {
    pub fn new(start: &Start) -> Self {
        let viewpoint =
            Viewpoint { clock: start.clock, page_bytes: start.page_bytes, dying_unseen: start.dying_unseen };
        Self {
            start: Arc::new(start.clone()),
            viewpoint,
            history: History::new(start.started_ns, BUCKET_NS),
            zombies: Parts { of: None, all: Arc::default() },
            by_key: HashMap::new(),
            freed: Parts { of: None, all: Arc::default() },
            events: VecDeque::new(),
            told: None,
            number: 0,
            between: 0,
            skipped: 0,
            slab: None,
            slab_changed: true,
        }
    }

    /// The run as it is at `now_ns` (`CLOCK_MONOTONIC`). What has not changed since the last look is not built anew.
    pub fn look(&mut self, book: &Book, slab: Option<&SlabWatcher>, now_ns: u64) -> Status {
        let tracker = book.tracker();
        self.history.look(book, &[]);
        self.look_at_zombies(book);
        if self.freed.of != Some(tracker.totals().freed) {
            let freed = book.rollup().into_iter().flat_map(Rollup::freed);
            self.freed.all = freed.map(|(owner, freed)| (owner.clone(), freed)).collect();
            self.freed.of = Some(tracker.totals().freed);
        }
        if let Some(watcher) = slab.filter(|_| self.slab_changed) {
            self.slab = Some(Arc::new(SlabStatus::new(&watcher.run, &watcher.ledger, now_ns)));
            self.slab_changed = false;
        }
        self.between = 0;
        let events = self.told.get_or_insert_with(|| self.events.iter().cloned().collect()).clone();
        let charged = tracker.charged_to_dying();
        Status {
            start: self.start.clone(),
            now_ns,
            totals: tracker.totals().clone(),
            ids: tracker.ids(),
            charged_bytes: charged.map(|pages| pages.saturating_mul(self.start.page_bytes)),
            conclusive: tracker.conclusive(),
            names_missing: book.names_missing().map_or(0, |missing| missing.memcgs),
            history: self.history.clone(),
            zombies: self.zombies.all.clone(),
            freed: self.freed.all.clone(),
            events,
            slab: self.slab.clone(),
            playback: None,
        }
    }

    /// Whether the last look has all zombies; with many new ones it takes several.
    pub fn is_complete(&self) -> bool {
        self.zombies.of.is_some()
    }

    /// The time of the last event before `t_ns`, of those that are kept.
    pub fn last_event_before(&self, t_ns: u64) -> Option<u64> {
        self.events.iter().rev().map(|event| event.t_ns).find(|event_ns| *event_ns < t_ns)
    }

    fn look_at_zombies(&mut self, book: &Book) {
        if self.zombies.of == Some(book.revision()) {
            return;
        }
        let mut known = HashMap::with_capacity(self.by_key.len());
        let (mut copied, mut all) = (0, true);
        for memcg in book.tracker().dying() {
            let named = book.named(&memcg.key);
            let same = |zombie: &Arc<Zombie>| zombie.named == named && zombie.memcg == *memcg;
            let zombie = match self.by_key.get(&memcg.key).filter(|zombie| same(zombie)) {
                Some(zombie) => zombie.clone(),
                None if copied < ZOMBIES_AT_ONCE => {
                    copied += 1;
                    Arc::new(Zombie::new(memcg, book.container_of(memcg), named))
                }
                None => {
                    all = false;
                    continue;
                }
            };
            known.insert(memcg.key, zombie);
        }
        self.by_key = known;
        self.zombies.all = self.by_key.values().cloned().collect();
        // The rest comes with the next look.
        self.zombies.of = all.then(|| book.revision());
    }

    fn keep(&mut self, book: &Book, change: &Change) {
        self.between += 1;
        if self.between > EVENTS_BETWEEN && !matters(&change.what) {
            self.skipped += 1;
            return;
        }
        let tracker = book.tracker();
        let memcg = subject(change, tracker);
        let view = EventView::new(change, tracker, None, &self.viewpoint);
        let note = match (view.detail, &change.what) {
            (Some(Detail::AllocFailed { error, meaning, .. }), _) => {
                EventNote::AllocFailed { error, meaning }
            }
            (_, &What::Lost { hook, cpu, events }) => EventNote::Lost { hook, cpu, events },
            (_, &What::Missed { hook, firings }) => EventNote::Missed { hook, firings },
            (_, &What::Outage(Outage { from_ns, to_ns, reason })) => {
                EventNote::Outage { ns: to_ns.saturating_sub(from_ns), reason }
            }
            _ if self.skipped > 0 => EventNote::Skipped { events: self.skipped },
            _ => EventNote::None,
        };
        self.skipped = 0;
        self.events.push_back(Arc::new(EventLine {
            number: self.number,
            t_ns: change.t_ns,
            kind: view.event,
            key: memcg.map(|memcg| memcg.key),
            id: memcg.map_or(Id::Unknown, |memcg| memcg.id),
            elapsed_ns: view.elapsed_ns,
            path: memcg.and_then(|memcg: &Memcg| memcg.path.clone()),
            note,
        }));
        self.number += 1;
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
        self.told = None;
    }
}

/// Whether it is kept, however many there are.
fn matters(what: &What) -> bool {
    matches!(
        what,
        What::Leaked(_)
            | What::Freed { late: true, .. }
            | What::Lost { .. }
            | What::Missed { .. }
            | What::Outage(_)
    )
}

impl Observer for StatusKeeper {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        self.history.look(book, changes);
        changes.iter().for_each(|change| self.keep(book, change));
        Ok(())
    }
}

impl SlabObserver for StatusKeeper {
    fn slab_changed(&mut self, _: &slab::SlabLedger, _: &slab::SlabChange) -> Result<()> {
        self.slab_changed = true;
        Ok(())
    }

    fn slab_looked(&mut self, _: &slab::SlabLedger, _: u64) -> Result<()> {
        self.slab_changed = true;
        Ok(())
    }
}
