//! Counts of a run that goes on: what the ledger forgets, kept for as long as the process lives. Pure, like the book.

mod disagreement;
mod lifetimes;
mod newborns;
mod workloads;

use std::ops::ControlFlow;

use anyhow::Result;
use foldhash::HashMap;
use memcg_trace_common::Charges;

pub use lifetimes::Lifetimes;
pub use workloads::{LeakSeen, Measured, WorkloadCounts, Workloads, counts_as_leaked};

use self::{disagreement::Disagreement, newborns::Newborns};
use super::{Book, Observer, SlabObserver};
use crate::{
    attribution::{Container, WorkloadName, unit_of_path},
    event::Key,
    record::Snapshot,
    tracker::{AllocError, Change, Found, Memcg, What},
};

/// Counts since the start; all of them only grow.
#[derive(Debug, Default)]
pub struct RunTally {
    pub events: EventCounts,
    /// Memcgs that died during the run and outlived the grace time.
    pub leaks: u64,
    /// Of these: in a container whose name was never found.
    pub unnamed_leaks: u64,
    pub alloc_failures: AllocFailures,
    /// From offline to free, of freed memcgs.
    pub lifetimes: Lifetimes,
    pub workloads: Workloads,
    pub walks: u64,
    /// The last walk.
    pub walked: Option<WalkTimes>,
    /// What memcgs were charged for that were dying at the last walk.
    charges: HashMap<Key, Charges>,
    newborns: Newborns,
    disagreement: Disagreement,
}

/// Events by kind; each is of one kind, and called as in the output of `trace`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub online: u64,
    pub removed: u64,
    pub offline: u64,
    pub released: u64,
    /// Within the grace time.
    pub freed: u64,
    pub late: u64,
}

/// Failed allocations of memcgs, by cause; see [`AllocError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocFailures {
    pub ids: u64,
    pub memory: u64,
    pub unknown: u64,
}

/// When a walk was taken, `CLOCK_MONOTONIC`, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkTimes {
    pub began_ns: u64,
    pub ended_ns: u64,
}

impl Observer for RunTally {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        changes.iter().for_each(|change| self.change(book, change));
        Ok(())
    }

    fn walked(&mut self, book: &Book, walk: &Snapshot) -> Result<()> {
        let dying = walk.dying().filter_map(Key::of);
        self.charges = dying.filter_map(|key| Some((key, *walk.charges.get(&key)?))).collect();
        self.disagreement.walked(book, walk);
        self.walks += 1;
        self.walked = Some(WalkTimes { began_ns: walk.began_ns, ended_ns: walk.ended_ns });
        Ok(())
    }

    /// Counts new memcgs whose names had time to be found.
    fn tick(&mut self, book: &Book) -> Result<ControlFlow<()>> {
        for key in self.newborns.grown(book.now_ns()) {
            if let Some(memcg) = book.tracker().get(&key) {
                self.workloads.created(workload_of(book, memcg));
            }
        }
        self.disagreement.look(book);
        Ok(ControlFlow::Continue(()))
    }
}

impl SlabObserver for RunTally {}

impl RunTally {
    /// What a dying memcg was charged for at the last walk; `None`: it died later, or nothing is known.
    pub fn charges_of(&self, key: &Key) -> Option<&Charges> {
        self.charges.get(key)
    }

    /// Whether the last walk found something else than the events tell, although nothing was lost.
    pub fn kernel_disagrees(&self) -> bool {
        self.disagreement.found()
    }

    fn change(&mut self, book: &Book, change: &Change) {
        let events = &mut self.events;
        match &change.what {
            What::Online(key) => {
                events.online += 1;
                self.newborns.born(change.t_ns, *key);
            }
            What::Removed(_) => events.removed += 1,
            What::Offline(_) => events.offline += 1,
            What::Released(_) => events.released += 1,
            What::Freed { memcg, dying_ns, late } => {
                *if *late { &mut events.late } else { &mut events.freed } += 1;
                if let Some(ns) = dying_ns {
                    self.lifetimes.add(*ns);
                }
                self.forget(book, memcg);
            }
            What::Reconciled { memcg, found: Found::Freed } => self.forget(book, memcg),
            What::Reconciled { memcg, found: Found::Added } => self.disagreement.added(memcg.key),
            What::Leaked(key) => {
                self.leaks += 1;
                if let Some(memcg) = book.tracker().get(key) {
                    self.leak(book, memcg, change.t_ns);
                }
            }
            What::AllocFailed { errno, .. } => {
                let error = AllocError::decode(*errno, &book.tracker().ids(), book.start().dying_unseen);
                let failures = &mut self.alloc_failures;
                *match error.exhausted.known() {
                    Some(true) => &mut failures.ids,
                    Some(false) => &mut failures.memory,
                    None => &mut failures.unknown,
                } += 1;
            }
            // The totals of the ledger have these.
            What::Lost { .. } | What::Missed { .. } | What::CssFreed(_) | What::Outage(_) => {}
        }
    }

    fn leak(&mut self, book: &Book, memcg: &Memcg, t_ns: u64) {
        let container = book.container_of(memcg);
        let unnamed = |container: &Container| container.name.is_none() && container.pod.is_none();
        self.unnamed_leaks += u64::from(container.as_ref().is_some_and(unnamed));
        let seen = LeakSeen {
            t_ns,
            pod: container.as_ref().and_then(|container| container.pod.clone()),
            container: container.and_then(|container| container.name),
        };
        self.count_newborn(book, memcg);
        self.workloads.leaked(workload_of(book, memcg), seen);
    }

    /// Counts a memcg that will have no better name.
    fn count_newborn(&mut self, book: &Book, memcg: &Memcg) {
        if self.newborns.take(&memcg.key) {
            self.workloads.created(workload_of(book, memcg));
        }
    }

    fn forget(&mut self, book: &Book, memcg: &Memcg) {
        self.count_newborn(book, memcg);
        self.workloads.freed(&memcg.key);
        self.charges.remove(&memcg.key);
    }
}

/// The workload of a memcg, as far as is known now.
fn workload_of(book: &Book, memcg: &Memcg) -> Option<WorkloadName> {
    let unit = memcg.path.as_deref().and_then(unit_of_path);
    WorkloadName::of(book.container_of(memcg).as_ref(), unit.as_ref())
}
