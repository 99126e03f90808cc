//! The second witness: the kernel's own counts, and a walk, both independent of events.

use std::collections::HashMap;

use anyhow::Result;
use memcg_trace_common::CssFlag;

use crate::{
    event::{Event, Key},
    kernel::{
        Kernel,
        cgroupfs::{cgroup::Cgroup, cgroup_stat},
        walk::Walk,
    },
    record::{Snapshot, Version},
    source::take_walk,
    tracker::Id,
    verdict::{Counted, Walked},
};

/// Counts the memcgs below cgroups. Tests have other implementations than the kernel's.
pub trait Oracle {
    /// `dying`: the parents of dying memcgs according to the ledger, for kernels where a dying memcg has no pointer to
    /// its parent.
    fn count(&mut self, parents: &[&Cgroup], dying: &Dying) -> Result<Vec<Counted>>;
}

/// Parents' indices by css address; `None`: below none of them.
pub type Dying = HashMap<u64, Option<usize>>;

/// The running kernel.
pub struct KernelOracle<'a> {
    kernel: &'a Kernel,
    walk: Option<Walk>,
}

impl<'a> KernelOracle<'a> {
    pub fn new(kernel: &'a Kernel) -> Self {
        Self { walk: kernel.walk(), kernel }
    }

    /// Dying cgroups of the whole machine, where there are no counts below a cgroup (v1).
    fn dying_anywhere(&self) -> Option<u64> {
        match self.kernel.controller.version {
            Version::V1 => self.kernel.census().dying,
            Version::V2 => None,
        }
    }
}

impl Oracle for KernelOracle<'_> {
    fn count(&mut self, parents: &[&Cgroup], dying: &Dying) -> Result<Vec<Counted>> {
        let snapshot = self.walk.as_mut().map(take_walk).transpose()?;
        let orphans = self.walk.as_ref().is_some_and(Walk::outlives_cgroups).then_some(dying);
        let walked = snapshot.map(|snapshot| walked(&snapshot, parents, orphans));
        let dying_anywhere = self.dying_anywhere();
        let count = |(number, parent): (usize, &&Cgroup)| {
            let below = cgroup_stat::Counted::below(parent.version(), parent.directory());
            Counted {
                dying_cgroups: below.dying_cgroups,
                dying_memcgs: below.dying_memcgs,
                dying_anywhere,
                walk: walked.as_ref().map(|walked| walked[number]),
            }
        };
        Ok(parents.iter().enumerate().map(count).collect())
    }
}

/// Memcgs that a walk found below each of the cgroups. `orphans`: parents of dying memcgs from the ledger, where the
/// walk does not see them.
fn walked(snapshot: &Snapshot, parents: &[&Cgroup], orphans: Option<&Dying>) -> Vec<Walked> {
    let start = Walked { ids_held: Some(0), charged_pages: Some(0), ..Walked::default() };
    let mut walked = vec![start; parents.len()];
    let by_id: HashMap<u64, usize> = parents.iter().map(|parent| parent.id()).zip(0..).collect();
    let by_key: HashMap<Key, &Event> =
        snapshot.events.iter().filter_map(|event| Some((Key::of(event)?, event))).collect();
    for event in &snapshot.events {
        let above = |event: &&Event| by_key.get(&parent_of(event)?).copied();
        let ancestors = std::iter::successors(above(&event), above);
        let found = ancestors
            .enumerate()
            .find_map(|(depth, ancestor)| Some((depth, *by_id.get(&ancestor.cgroup_id()?)?)));
        if let Some((depth, number)) = found {
            add(event, depth == 0, &mut walked[number]);
        }
    }
    let Some(dying) = orphans else { return walked };
    for event in snapshot.dying() {
        match event.css().and_then(|css| dying.get(&css)) {
            Some(Some(number)) => add(event, true, &mut walked[*number]),
            Some(None) => {}
            // It may belong to any of them.
            None => walked.iter_mut().for_each(|walked| walked.strangers += 1),
        }
    }
    walked
}

fn parent_of(event: &Event) -> Option<Key> {
    Some(Key { css: event.parent_css()?, serial: event.parent_serial().unwrap_or(0) })
}

/// Counters include descendants: only the topmost memcgs add to the charges.
fn add(event: &Event, topmost: bool, walked: &mut Walked) {
    let flags = event.css_flags().unwrap_or(CssFlag::ONLINE);
    match (flags & CssFlag::ONLINE != 0, flags & CssFlag::DYING != 0) {
        (true, false) => walked.live += 1,
        (true, true) => walked.removed += 1,
        (false, true) => {
            walked.dying += 1;
            let held = match Id::of(event) {
                Id::Held { .. } => Some(1),
                Id::Released => Some(0),
                Id::Unknown => None,
            };
            walked.ids_held = walked.ids_held.zip(held).map(|(sum, held)| sum + held);
            if topmost {
                let pages = walked.charged_pages.zip(event.charged_pages());
                walked.charged_pages = pages.map(|(sum, pages)| sum + pages);
            }
        }
        // Being created.
        (false, false) => {}
    }
}
