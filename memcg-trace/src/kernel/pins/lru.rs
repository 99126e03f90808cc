//! Folios on the LRU lists of dying memcgs: a reference each, up to 7.0. (Later they refer to an obj_cgroup, and move to the
//! parent's lists when the memcg goes offline.)
//!
//! No lock is taken. A `struct page` never goes away; one that leaves the list says so by its memcg, or leads to another list
//! of the same memcg, whose head says so. Then the list is read again from its head; what was seen before counts once.

use memcg_trace_common::{ABSENT, List, ListEnd};

use super::{
    groups::Groups,
    layout::{PageWords, index, word},
    pass::Pass,
};
use crate::kernel::memory::{Members, MemoryError};

/// Attempts to read a list that changes meanwhile.
const ATTEMPTS: u32 = 8;

/// Counts the folios on all lists of the pass's memcgs, in nodes of memory of IDs below `node_ids`.
pub(super) fn read(pass: &mut Pass<'_>, groups: &mut Groups, node_ids: u32) -> Result<(), MemoryError> {
    let layout = pass.layout.node;
    let heads = layout.heads();
    if !pass.layout.page.is_listed() || heads.is_empty() || layout.nodes == ABSENT {
        pass.unread("folios on LRU lists", "BTF does not describe them");
        return Ok(());
    }
    let csses = pass.memcgs.csses();
    let nodes: Vec<u32> = (0..node_ids).map(|node| layout.nodes.saturating_add(8 * node)).collect();
    let pointers = pass.memory.rows(&csses, &Members::of(&nodes))?;
    let mut owners = Vec::new();
    let mut per_node = Vec::new();
    for (memcg, _) in csses.iter().enumerate() {
        for pointer in nodes.iter().map(|node| pointers.pointer(memcg, *node)).filter(|pointer| *pointer != 0)
        {
            owners.push(memcg);
            per_node.push(pointer);
        }
    }
    let members = Members::of(&heads).with(layout.offsets.memcg, 8);
    let rows = pass.memory.rows(&per_node, &members)?;
    for (row, (memcg, node)) in owners.into_iter().zip(per_node).enumerate() {
        if rows.pointer(row, layout.offsets.memcg) != csses[memcg] {
            continue;
        }
        for head in &heads {
            let (first, head) = (rows.pointer(row, *head), node.wrapping_add((*head).into()));
            if first != 0 && first != head {
                if pass.is_late("folios on LRU lists") {
                    return Ok(());
                }
                follow(pass, groups, memcg, head, first)?;
            }
        }
    }
    Ok(())
}

/// Whether a list runs in a ring that its head is not in, as one does whose folio has moved to another list meanwhile: a node is
/// remembered at each power of two of steps, and comes again (R. P. Brent, An improved Monte Carlo factorization algorithm, 1980).
#[derive(Default)]
struct Ring {
    node: u64,
    steps: u64,
    closed: bool,
}

impl Ring {
    fn pass(&mut self, node: u64) {
        self.steps += 1;
        self.closed |= node == self.node;
        if self.steps.is_power_of_two() {
            self.node = node;
        }
    }
}

/// Counts the folios of one list.
fn follow(
    pass: &mut Pass<'_>,
    groups: &mut Groups,
    memcg: usize,
    head: u64,
    first: u64,
) -> Result<(), MemoryError> {
    let page = pass.layout.page;
    let (Some(next), Some(mark)) = (index(page.lru), index(page.memcg)) else { return Ok(()) };
    let css = pass.memcgs.css(memcg);
    let start = List { head, node: first, back: page.lru.into(), next, mark, mask: u64::MAX, value: css };
    // A list that gives more is a ring without its head.
    let limit = 2 * pass.memcgs.folios_max(memcg);
    for attempt in 0..ATTEMPTS {
        let first = if attempt == 0 { first } else { pass.memory.pointers(&[head], 0)?[0] };
        let mut list = List { node: first, ..start };
        let (mut steps, mut ring) = (0_u64, Ring::default());
        let end = loop {
            let mut node = list.node;
            let end = pass.memory.follow(&mut list, &mut |words: &PageWords| {
                steps += 1;
                ring.pass(node);
                groups.folio(memcg, node.wrapping_sub(page.lru.into()), words);
                node = word(words, page.lru);
            })?;
            groups.settle_some(pass.memory)?;
            if end != ListEnd::More || ring.closed || steps > limit || pass.is_late("folios on LRU lists") {
                break end;
            }
        };
        if end == ListEnd::Head || first == head {
            return Ok(());
        }
    }
    log::debug!("LRU list {head:#x} of memcg {css:#x} changed faster than it was read");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_found_within_three_times_its_length() {
        let steps = |lead: u64, ring: u64| {
            let mut found = Ring::default();
            let nodes = (1..=lead).chain((0..).map(|step| lead + 1 + step % ring));
            nodes
                .take_while(|node| {
                    found.pass(*node);
                    !found.closed
                })
                .take(100_000)
                .count() as u64
        };
        for (lead, ring) in [(0, 1), (5, 1), (0, 1000), (700, 300), (1, 4096)] {
            assert!(steps(lead, ring) <= 3 * (lead + ring), "{lead} {ring}: {}", steps(lead, ring));
        }
        assert_eq!(steps(99_999, 10_000_000), 100_000, "a list that goes on is no ring");
    }
}
