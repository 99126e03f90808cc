//! What the metrics show at one instant.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cause::Pin,
    report::view::{Accounting, ChargesView, MemcgView},
    session::{
        AllocFailures, Book, EventCounts, Lifetimes, Measured, RunTally, WorkloadCounts, counts_as_leaked,
    },
    tracker::{Id, Ids, Memcg, State},
};

/// Facts that are not in the book of the run.
#[derive(Clone, Debug, Default)]
pub struct MetricsFacts {
    /// Number of workloads with series of their own.
    pub top: usize,
    /// For charges by kind; `None`: the kinds are not told apart.
    pub accounting: Option<Accounting>,
    /// Memory of the machine.
    pub node_memory_bytes: Option<u64>,
    /// `None`: slab caches are not followed.
    pub slab: Option<SlabCounts>,
    pub own: OwnCost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlabCounts {
    pub caches: u64,
    pub leaked: u64,
}

/// What this process costs; `None`: could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnCost {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    /// Since the epoch.
    pub started_s: Option<f64>,
    pub open_files: Option<u64>,
}

/// Labels of `build_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub kernel: String,
    pub cgroup: String,
    pub backend: String,
}

/// What dying memcgs are charged for, in bytes; those of descendants count only once. The kinds do not overlap: shmem is
/// not in `file`. `other` is the rest of what the counters say, and all of a memcg that no walk has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DyingCharges {
    pub file: u64,
    pub anon: u64,
    pub shmem: u64,
    pub slab: u64,
    pub swap: u64,
    pub sock: u64,
    pub other: u64,
}

/// The data of all metrics.
#[derive(Clone, Debug)]
pub struct MetricsView {
    pub build: Build,
    pub facts: MetricsFacts,
    pub ids: Ids,
    pub live: u64,
    pub removed: u64,
    pub dying: u64,
    /// Of those dying, also those from before the start.
    pub leaked: u64,
    pub charges: DyingCharges,
    pub dying_oldest_ns: u64,
    pub events: EventCounts,
    pub leaks: u64,
    pub unnamed_leaks: u64,
    pub alloc_failures: AllocFailures,
    pub lifetimes: Lifetimes,
    /// Leaked memcgs by what has most of their references; `None`: nobody looked, or nobody could. A kind that was seen
    /// once stays, with 0.
    pub pinned: BTreeMap<Option<Pin>, u64>,
    /// The worst ones, worst first.
    pub workloads: Vec<WorkloadCounts>,
    /// What leaked of all others.
    pub other_workloads: Measured,
    pub walks: u64,
    pub walk_seconds: Option<f64>,
    /// End of the last walk, since the epoch.
    pub walked_s: Option<f64>,
    pub lost_events: u64,
    pub missed_firings: u64,
    pub conclusive: bool,
    /// See [`RunTally::kernel_disagrees`].
    pub kernel_disagrees: bool,
    /// Offset of `CLOCK_REALTIME` from the clock of the events, ns.
    pub realtime_offset_ns: i64,
}

impl MetricsView {
    /// `pins`: the kinds seen so far, which it adds to.
    pub fn new(book: &Book, tally: &mut RunTally, facts: MetricsFacts, pins: &mut BTreeSet<Pin>) -> Self {
        let (start, tracker, totals) = (book.start(), book.tracker(), book.tracker().totals());
        let dying: Vec<DyingNow<'_>> = tracker.dying().map(|memcg| DyingNow::new(book, memcg)).collect();
        let leaked = dying.iter().filter(|dying| counts_as_leaked(dying.memcg));
        tally.workloads.measure(book, leaked.map(|dying| (dying.memcg, dying.measured())));
        let (workloads, other_workloads) = tally.workloads.worst(facts.top);
        let mut view = Self {
            build: Build {
                kernel: start.kernel.clone(),
                cgroup: start.controller.clone(),
                backend: start.backend.to_string(),
            },
            ids: tracker.ids(),
            live: totals.live,
            removed: totals.removed,
            dying: totals.dying,
            leaked: 0,
            charges: DyingCharges::default(),
            dying_oldest_ns: 0,
            events: tally.events,
            leaks: tally.leaks,
            unnamed_leaks: tally.unnamed_leaks,
            alloc_failures: tally.alloc_failures,
            lifetimes: tally.lifetimes,
            pinned: BTreeMap::new(),
            workloads,
            other_workloads,
            walks: tally.walks,
            walk_seconds: tally.walked.map(|walk| walk.ended_ns.saturating_sub(walk.began_ns) as f64 / 1e9),
            walked_s: tally.walked.map(|walk| start.clock.real_ns(walk.ended_ns) as f64 / 1e9),
            lost_events: totals.lost_events,
            missed_firings: totals.missed_firings,
            conclusive: book.conclusive(),
            kernel_disagrees: tally.kernel_disagrees(),
            realtime_offset_ns: start.clock.realtime_offset_ns,
            facts,
        };
        dying.iter().for_each(|dying| view.add(tally, dying));
        pins.extend(view.pinned.keys().flatten());
        for pin in pins.iter() {
            view.pinned.entry(Some(*pin)).or_default();
        }
        view
    }

    fn add(&mut self, tally: &RunTally, dying: &DyingNow<'_>) {
        let DyingNow { memcg, age_ns, in_parents_charge, held_bytes } = *dying;
        if counts_as_leaked(memcg) {
            self.leaked += 1;
            let pin = memcg.pinned.as_ref().and_then(|pinned| pinned.by.first()).map(|by| by.pin);
            *self.pinned.entry(pin).or_default() += 1;
        }
        self.dying_oldest_ns = self.dying_oldest_ns.max(age_ns);
        if in_parents_charge {
            return;
        }
        let charges = tally.charges_of(&memcg.key).zip(self.facts.accounting);
        let kinds =
            charges.map(|(charges, accounting)| ChargesView::new(charges, memcg.charged_pages, accounting));
        self.charges.add(&kinds.unwrap_or_default(), held_bytes);
    }
}

/// A dying memcg as of now, for its workload and for the sums of the node: its parent is looked up once for both.
struct DyingNow<'a> {
    memcg: &'a Memcg,
    /// 0: unknown.
    age_ns: u64,
    /// Its parent is dying as well: charges of the parent include its own.
    in_parents_charge: bool,
    held_bytes: u64,
}

impl<'a> DyingNow<'a> {
    fn new(book: &Book, memcg: &'a Memcg) -> Self {
        let page_bytes = book.start().page_bytes;
        let charged = memcg.charged_pages.map(|pages| pages.saturating_mul(page_bytes));
        let parent = memcg.parent.and_then(|parent| book.tracker().get(&parent));
        Self {
            memcg,
            age_ns: memcg.dying_since_ns().map_or(0, |since_ns| book.now_ns().saturating_sub(since_ns)),
            in_parents_charge: parent.is_some_and(|parent| parent.state == State::Dying),
            held_bytes: MemcgView::held_bytes_max(memcg, page_bytes).or(charged).unwrap_or(0),
        }
    }

    fn measured(&self) -> Measured {
        Measured {
            memcgs: 1,
            charged_bytes: if self.in_parents_charge { 0 } else { self.held_bytes },
            ids_held: u64::from(matches!(self.memcg.id, Id::Held { .. })),
            oldest_ns: self.age_ns,
        }
    }
}

impl DyingCharges {
    /// Adds a memcg that holds `held` bytes: since 7.1 its kinds may say more, for its pages moved to the parent.
    fn add(&mut self, kinds: &ChargesView, held: u64) {
        let mut left = held;
        let mut take = |kind: Option<u64>| {
            let taken = kind.unwrap_or(0).min(left);
            left -= taken;
            taken
        };
        let shmem = take(kinds.shmem);
        self.shmem += shmem;
        self.file += take(kinds.file.map(|file| file.saturating_sub(shmem)));
        self.anon += take(kinds.anon);
        self.slab += take(kinds.slab);
        self.sock += take(kinds.sock);
        self.other += left;
        // Swap is not in the counter of memory.
        self.swap += kinds.swap.unwrap_or(0);
    }
}
