//! The second witness: the kernel's own counts, and a walk, both independent of events.

use std::collections::HashMap;

use anyhow::Result;
use memcg_trace_common::CssFlag;

use crate::{
    event::{Event, Key},
    kernel::{
        Kernel,
        cgroupfs::{cgroup::Cgroup, cgroup_stat},
        page_bytes,
        walk::Walk,
    },
    record::{Snapshot, Version},
    report::view::held_bytes_max,
    source::take_walk,
    tracker::Id,
    verdict::{Counted, WalkCounts},
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
            let below = cgroup_stat::KernelCounts::below(parent.version(), parent.directory());
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
fn walked(snapshot: &Snapshot, parents: &[&Cgroup], orphans: Option<&Dying>) -> Vec<WalkCounts> {
    let zero = Some(0);
    let start =
        WalkCounts { ids_held: zero, charged_pages: zero, held_bytes_max: zero, ..WalkCounts::default() };
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

/// Counters include descendants: only the topmost memcgs add to the charges. References are of each alone.
fn add(event: &Event, topmost: bool, walked: &mut WalkCounts) {
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
            let held = event.css_refs().zip(event.charged_pages());
            let held = held.map(|(refs, charged)| held_bytes_max(refs, charged, page_bytes() as u64));
            walked.held_bytes_max =
                walked.held_bytes_max.zip(held).map(|(sum, held)| sum.saturating_add(held));
            if topmost {
                let pages = walked.charged_pages.zip(event.charged_pages());
                walked.charged_pages = pages.map(|(sum, pages)| sum + pages);
            }
        }
        // Being created.
        (false, false) => {}
    }
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::{EventHeader, Field, Hook};
    use zerocopy::FromZeros as _;

    use super::*;

    /// A dying memcg of a walk.
    fn dying(css_refs: u64, charged_pages: u64) -> Event {
        let mut header = EventHeader::new_zeroed();
        header.hook = Hook::Walk as u16;
        header.known = Field::CSS | Field::CSS_FLAGS | Field::CSS_REFS | Field::CHARGED;
        (header.css_flags, header.css_refs, header.charged_pages) = (CssFlag::DYING, css_refs, charged_pages);
        Event::new(header, b"").expect("an event")
    }

    #[test]
    fn what_counters_say_and_what_is_held() {
        let page = page_bytes() as u64;
        let folio = page.max(2 << 20);
        let start = WalkCounts { charged_pages: Some(0), held_bytes_max: Some(0), ..WalkCounts::default() };
        // References, charged pages, whether it is topmost; in all: charged pages, held bytes.
        type Row<'a> = (&'a [(u64, u64, bool)], u64, u64);
        let table: &[Row<'_>] = &[
            (&[(1, 100 << 10, true)], 100 << 10, folio),
            (&[(51_200, 51_200, true), (1, 1, true)], 51_201, 51_201 * page),
            // Each reference is one of a folio; those below count for themselves.
            (&[(1, 100 << 10, true), (2, 90 << 10, false)], 100 << 10, 3 * folio),
        ];
        for (memcgs, charged, held) in table {
            let mut walked = start;
            for (refs, charged, topmost) in *memcgs {
                add(&dying(*refs, *charged), *topmost, &mut walked);
            }
            assert_eq!(
                (walked.charged_pages, walked.held_bytes_max),
                (Some(*charged), Some(*held)),
                "{memcgs:?}"
            );
        }
    }
}
