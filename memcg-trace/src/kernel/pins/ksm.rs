//! Pages that KSM merged because they have equal contents: who shares each of them.

use foldhash::{HashMap, HashSet};
use memcg_trace_common::ABSENT;

use super::{files::entry, pass::Pass};
use crate::kernel::memory::{Members, MemoryError};

const WHAT: &str = "who shares pages that KSM merged";
/// Sharers that are looked at, of one page: /sys/kernel/mm/ksm/max_page_sharing is 256, and can be raised.
const SHARERS_MAX: usize = 1 << 12;

/// The anonymous memory (`struct anon_vma`) that a page is part of, by its node (`struct ksm_stable_node`).
pub(super) fn sharers(pass: &mut Pass<'_>, nodes: &[u64]) -> Result<HashMap<u64, HashSet<u64>>, MemoryError> {
    let item = pass.layout.ksm_item;
    let mut sharers: HashMap<u64, HashSet<u64>> = HashMap::default();
    if [item.anon, item.head, item.node, item.next].contains(&ABSENT) {
        return Ok(sharers);
    }
    let mut links = pass.memory.pointers(nodes, pass.layout.ksm_node.sharers)?;
    for _ in 0..SHARERS_MAX {
        if links.iter().all(|link| *link == 0) || pass.is_late(WHAT) {
            break;
        }
        let items: Vec<u64> = links.iter().map(|link| entry(*link, item.node)).collect();
        let rows = pass.memory.rows(&items, &Members::of(&[item.anon, item.head, item.next]))?;
        for (row, (node, link)) in nodes.iter().zip(&mut links).enumerate() {
            // One that has left the list meanwhile leads elsewhere.
            if *link == 0 || rows.pointer(row, item.head) != *node {
                *link = 0;
                continue;
            }
            sharers.entry(*node).or_default().insert(rows.pointer(row, item.anon));
            *link = rows.pointer(row, item.next);
        }
    }
    Ok(sharers)
}
