//! Everything that a report shows of one run.

use jiff::Timestamp;

use super::{
    HeldBy, KnownView, LargestPin, NamesMissingView, Run, SummaryView, Timeline, Viewpoint, held_by,
    largest_pins, rolled,
};
use crate::{
    cause::{Pin, Pinned},
    diagnosis::{Diagnosis, Limits, Memcgs, Node, Remedy, diagnose},
    report::escape::Name,
    scenarios::scenario,
    session::{Book, Durations, History},
    tracker::{Memcg, Tracker},
    verdict::ScenarioName,
};

/// One run.
#[derive(Debug)]
pub struct ReportView<'a> {
    /// The recording that it was made from; `None`: it was live.
    pub recording: Option<Name<'a>>,
    /// Kernel release.
    pub kernel: &'a str,
    /// Version and mount point of the memory controller's hierarchy.
    pub controller: &'a str,
    pub started: Timestamp,
    pub summary: SummaryView<'a>,
    pub timeline: Timeline,
    /// For how long the dying memcgs have been dying.
    pub ages: Durations,
    /// For how long the freed ones were.
    pub lifetimes: Durations,
    pub held: Vec<HeldBy>,
    pub largest_pins: Vec<LargestPin<'a>>,
    /// Of the kernel's release.
    pub known: Vec<KnownView<'a>>,
    /// Empty if nothing leaked.
    pub remedies: Vec<Remedy>,
    /// Scenarios of `verify` that pin with what pins here.
    pub scenarios: Vec<ScenarioName>,
}

impl<'a> ReportView<'a> {
    /// A run that has ended. `recording`: the file it comes from.
    pub fn new(
        run: &'a Run,
        book: &'a Book,
        history: &History,
        viewpoint: &Viewpoint,
        recording: Option<&'a [u8]>,
    ) -> Self {
        let (start, tracker) = (book.start(), book.tracker());
        let container = |memcg: &Memcg| book.container_of(memcg);
        let mut summary = SummaryView::new(run, tracker, viewpoint, container);
        summary.names_missing = book.names_missing().map(NamesMissingView::new);
        if let Some(rollup) = book.rollup() {
            summary.rolled = rolled(rollup, run, tracker, viewpoint, container);
        }
        let mut ages = Durations::default();
        for memcg in tracker.dying() {
            ages.add(memcg.dying_since_ns().map(|since_ns| run.ended_ns.saturating_sub(since_ns)));
        }
        let Diagnosis { known, remedies, .. } = diagnosis(&start.kernel, tracker);
        Self {
            recording: recording.map(Name),
            kernel: &start.kernel,
            controller: &start.controller,
            started: start.clock.utc(run.started_ns),
            timeline: Timeline::new(history, summary.duration_ns, viewpoint.page_bytes),
            summary,
            ages,
            lifetimes: history.lifetimes().clone(),
            held: held_by(tracker.dying(), viewpoint.page_bytes),
            largest_pins: largest_pins(tracker.dying()),
            known: known.iter().map(KnownView::new).collect(),
            remedies,
            scenarios: scenarios(tracker),
        }
    }
}

/// One leak is worth its remedies, however many more it would take to make the node sick.
fn diagnosis(kernel: &str, tracker: &Tracker) -> Diagnosis {
    let pinned: Vec<Pinned> = tracker.dying().filter_map(|memcg| memcg.pinned.as_deref().cloned()).collect();
    let (totals, ids) = (tracker.totals(), tracker.ids());
    let memcgs = Memcgs {
        live: Some(totals.live),
        dying: Some(totals.dying),
        staying: Some(totals.leaked),
        ids_used: ids.used,
        ids_held_by_dying: ids.held_by_dying,
        pinned: (!pinned.is_empty()).then_some(pinned),
        ..Memcgs::default()
    };
    let node = Node { release: kernel.to_owned(), memcgs, ..Node::default() };
    let mut diagnosis = diagnose(&node, &Limits { max_dying: 1 });
    if totals.leaked == 0 {
        diagnosis.remedies.clear();
    }
    diagnosis
}

fn scenarios(tracker: &Tracker) -> Vec<ScenarioName> {
    let pinned = tracker.dying().filter_map(|memcg| memcg.pinned.as_deref());
    let mut pins: Vec<Pin> = pinned.flat_map(|pinned| pinned.by.iter().map(|by| by.pin)).collect();
    pins.sort_unstable();
    pins.dedup();
    let main = |name: &ScenarioName| scenario(*name).pins().first().is_some_and(|pin| pins.contains(pin));
    ScenarioName::all().iter().copied().filter(main).collect()
}
