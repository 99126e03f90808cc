//! The observer that keeps metrics, and shows them when they are wanted.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    board::{Board, MetricsPage},
    notify::Notifier,
};
use crate::{
    cause::Pin,
    kernel::{clock, own_cost::ProcessCost},
    record::Snapshot,
    report::{
        json,
        metrics::{MetricsFacts, MetricsView, OwnCost, SlabCounts},
        view::LeaksView,
    },
    session::{Book, Observer, RunTally, SlabObserver},
    slab::{SlabChange, SlabLedger},
    tracker::Change,
};

/// Most memcgs in /leaks.json: the page stays below a megabyte, and the drain does not wait for it for long.
const LEAKS_MAX: usize = 1_000;
/// How often the service manager is told what is going on.
const STATUS: Duration = Duration::from_secs(30);

/// Keeps counts, and makes a view of them when somebody asks for it.
pub struct Exporter {
    board: Arc<Board>,
    notifier: Notifier,
    tally: RunTally,
    facts: MetricsFacts,
    /// All kinds of pins so far.
    pins: BTreeSet<Pin>,
    /// See [`Exporter::complete`].
    complete: bool,
    told: Option<Instant>,
}

impl Exporter {
    pub fn new(board: Arc<Board>, notifier: Notifier, facts: MetricsFacts, tally: RunTally) -> Self {
        Self { board, notifier, tally, facts, pins: BTreeSet::new(), complete: false, told: None }
    }

    /// Existing memcgs are in the book, or will not be: ready with the next tick.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// The end: the service manager is told.
    pub fn stopping(&self) {
        self.notifier.stopping();
    }

    /// Lets the other thread see what it wants to see, and the service manager that this thread is alive.
    pub fn show(&mut self, book: &Book) {
        self.board.drained();
        if self.complete && !self.board.is_ready() {
            self.board.set_ready();
            self.notifier.ready();
        }
        self.tell_manager(book);
        let Self { board, tally, facts, pins, .. } = self;
        board.metrics.make_if_wanted(|| {
            let facts = MetricsFacts { own: own_cost(), ..facts.clone() };
            MetricsPage::new(MetricsView::new(book, tally, facts, pins))
        });
        board.leaks.make_if_wanted(|| leaks(book));
    }

    fn tell_manager(&mut self, book: &Book) {
        self.notifier.alive();
        if self.told.is_some_and(|told| told.elapsed() < STATUS) {
            return;
        }
        self.told = Some(Instant::now());
        let (totals, ids) = (book.tracker().totals(), book.tracker().ids());
        let used = ids.used.map(|used| format!(", {used} of {} memcg IDs in use", ids.limit));
        self.notifier.status(&format!(
            "{} memcgs live, {} dying, {} leaked{}",
            totals.live,
            totals.dying,
            totals.leaked,
            used.unwrap_or_default()
        ));
    }
}

impl Observer for Exporter {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        self.tally.changed(book, changes)
    }

    fn walked(&mut self, book: &Book, walk: &Snapshot) -> Result<()> {
        self.complete();
        self.tally.walked(book, walk)
    }

    fn tick(&mut self, book: &Book) -> Result<ControlFlow<()>> {
        self.show(book);
        self.tally.tick(book)
    }

    /// A scrape does not wait for the next drain.
    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.board.wake())
    }
}

impl SlabObserver for Exporter {
    fn slab_changed(&mut self, ledger: &SlabLedger, _: &SlabChange) -> Result<()> {
        self.count_caches(ledger);
        Ok(())
    }

    fn slab_looked(&mut self, ledger: &SlabLedger, _: u64) -> Result<()> {
        self.count_caches(ledger);
        Ok(())
    }
}

impl Exporter {
    fn count_caches(&mut self, ledger: &SlabLedger) {
        let (caches, leaked) = (ledger.caches().count() as u64, ledger.leaked().count() as u64);
        self.facts.slab = Some(SlabCounts { caches, leaked });
    }
}

fn own_cost() -> OwnCost {
    let (cost, clock) = (ProcessCost::now(), clock::offsets());
    let booted_s = (clock.realtime_offset_ns - clock.boottime_offset_ns) as f64 / 1e9;
    OwnCost {
        cpu_seconds: cost.cpu_seconds,
        resident_bytes: cost.resident_bytes,
        started_s: cost.started_seconds.map(|seconds| booted_s + seconds),
        open_files: cost.open_files,
    }
}

fn leaks(book: &Book) -> Bytes {
    let mut out = Vec::new();
    match json::leaks(&mut out, &LeaksView::new(book, LEAKS_MAX)) {
        Ok(()) => out.into(),
        // A vector takes everything.
        Err(_) => Bytes::new(),
    }
}
