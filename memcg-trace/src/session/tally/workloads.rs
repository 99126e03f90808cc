//! Workloads: what leaked of each, and which of them hurt most.

use std::cmp::Reverse;

use foldhash::{HashMap, HashMapExt as _};

use super::workload_of;
use crate::{attribution::WorkloadName, event::Key, session::Book, tracker::Memcg};

/// Maximum number of workloads that are told apart; later ones count as unknown.
const WORKLOADS_MAX: usize = 10_000;
/// The rank of a workload is that of its worst instant of the last one to two periods: a list by the instant would have
/// series come and go with each look.
const PERIOD_NS: u64 = 30 * 60 * 1_000_000_000;

/// The place of what no workload is known for.
const UNKNOWN: usize = 0;

/// All workloads since the start.
#[derive(Debug)]
pub struct Workloads {
    places: HashMap<WorkloadName, usize>,
    entries: Vec<WorkloadEntry>,
    /// Workloads of leaked memcgs. Finding one takes microseconds, and there may be many.
    of_leaked: HashMap<Key, usize>,
    period_ns: u64,
}

/// One workload, at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadCounts {
    /// `None`: unknown.
    pub name: Option<WorkloadName>,
    /// Since the start, as the next one.
    pub created: u64,
    pub leaks: u64,
    pub last_leak: Option<LeakSeen>,
    pub now: Measured,
}

/// What leaked memcgs hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub memcgs: u64,
    /// Those of descendants count only once.
    pub charged_bytes: u64,
    pub ids_held: u64,
    /// For how long the oldest of known age has been dying.
    pub oldest_ns: u64,
}

/// An example of a leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakSeen {
    /// When the grace time was over, `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    pub pod: Option<String>,
    pub container: Option<String>,
}

impl Measured {
    /// What both hold.
    pub fn and(self, other: &Self) -> Self {
        Self {
            memcgs: self.memcgs + other.memcgs,
            charged_bytes: self.charged_bytes + other.charged_bytes,
            ids_held: self.ids_held + other.ids_held,
            oldest_ns: self.oldest_ns.max(other.oldest_ns),
        }
    }
}

#[derive(Debug, Default)]
struct WorkloadEntry {
    counts: WorkloadCounts,
    /// (memcgs, bytes): the highest of this period, and of the one before.
    peaks: [(u64, u64); 2],
}

impl Default for Workloads {
    fn default() -> Self {
        let unknown = WorkloadEntry::default();
        Self { places: HashMap::new(), entries: vec![unknown], of_leaked: HashMap::new(), period_ns: 0 }
    }
}

impl Workloads {
    pub fn created(&mut self, name: Option<WorkloadName>) {
        let place = self.place(name);
        self.entries[place].counts.created += 1;
    }

    pub fn leaked(&mut self, name: Option<WorkloadName>, seen: LeakSeen) {
        let place = self.place(name);
        let counts = &mut self.entries[place].counts;
        counts.leaks += 1;
        counts.last_leak = Some(seen);
    }

    pub fn freed(&mut self, key: &Key) {
        self.of_leaked.remove(key);
    }

    /// Takes in what leaked memcgs hold now, each on its own.
    pub fn measure<'m>(&mut self, book: &Book, leaked: impl Iterator<Item = (&'m Memcg, Measured)>) {
        self.entries.iter_mut().for_each(|entry| entry.counts.now = Measured::default());
        for (memcg, measured) in leaked {
            let place = self.place_of(book, memcg);
            let now = &mut self.entries[place].counts.now;
            *now = now.and(&measured);
        }
        let turn = book.now_ns().saturating_sub(self.period_ns) >= PERIOD_NS;
        for WorkloadEntry { counts, peaks } in &mut self.entries {
            if turn {
                *peaks = [(0, 0), peaks[0]];
            }
            peaks[0] = peaks[0].max((counts.now.memcgs, counts.now.charged_bytes));
        }
        if turn {
            self.period_ns = book.now_ns();
        }
    }

    /// As many of the workloads, worst first, and what leaked of all others.
    pub fn worst(&self, count: usize) -> (Vec<WorkloadCounts>, Measured) {
        let worst_first = |a: &&WorkloadEntry, b: &&WorkloadEntry| a.rank().cmp(&b.rank());
        let mut known: Vec<&WorkloadEntry> = self.entries.iter().filter(|entry| entry.is_known()).collect();
        if count < known.len() {
            known.select_nth_unstable_by(count, worst_first);
        }
        let others = known.split_off(known.len().min(count));
        known.sort_unstable_by(worst_first);
        let others = others.iter().fold(Measured::default(), |sum, entry| sum.and(&entry.counts.now));
        (known.into_iter().map(|entry| entry.counts.clone()).collect(), others)
    }

    /// Looked up again as long as it is unknown: names come in late.
    fn place_of(&mut self, book: &Book, memcg: &Memcg) -> usize {
        if let Some(place) = self.of_leaked.get(&memcg.key).filter(|place| **place != UNKNOWN) {
            return *place;
        }
        let place = self.place(workload_of(book, memcg));
        self.of_leaked.insert(memcg.key, place);
        place
    }

    fn place(&mut self, name: Option<WorkloadName>) -> usize {
        let Some(name) = name else { return UNKNOWN };
        if let Some(place) = self.places.get(&name) {
            return *place;
        }
        if self.entries.len() >= WORKLOADS_MAX {
            return UNKNOWN;
        }
        let counts = WorkloadCounts { name: Some(name.clone()), ..WorkloadCounts::default() };
        self.entries.push(WorkloadEntry { counts, peaks: [(0, 0); 2] });
        self.places.insert(name, self.entries.len() - 1);
        self.entries.len() - 1
    }
}

impl WorkloadEntry {
    /// Sorts the worst first.
    fn rank(&self) -> impl Ord + '_ {
        let Self { counts, peaks: [this, before] } = self;
        (Reverse(this.max(before)), Reverse(counts.leaks), Reverse(counts.created), &counts.name)
    }

    /// Whether there is anything to tell of it.
    fn is_known(&self) -> bool {
        let WorkloadCounts { name, created, leaks, now, .. } = &self.counts;
        name.is_some() || created + leaks + now.memcgs > 0
    }
}

/// Whether gauges count a memcg as leaked. One that was dying when the run began is from the start: nobody knows since when it is dying.
pub fn counts_as_leaked(memcg: &Memcg) -> bool {
    memcg.leaked || memcg.died_before_start()
}
