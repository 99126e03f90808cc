//! Pages that KSM merged because they have equal contents: who shares each of them.

use memcg_trace_common::ABSENT;

use super::{files::entry, layout::PinLayout};
use crate::kernel::memory::{Members, Memory, MemoryError};

/// Sharers that are looked at, of one page: /sys/kernel/mm/ksm/max_page_sharing is 256, and can be raised.
const SHARERS_MAX: usize = 1 << 12;

/// The anonymous memory (`struct anon_vma`) that each page is part of, by its node (`struct ksm_stable_node`).
pub(super) fn sharers(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    nodes: &[u64],
) -> Result<Vec<Vec<u64>>, MemoryError> {
    let item = layout.ksm_item;
    let mut sharers = vec![Vec::new(); nodes.len()];
    if [item.anon, item.node, item.next].contains(&ABSENT) {
        return Ok(sharers);
    }
    let mut links = memory.pointers(nodes, layout.ksm_node.sharers)?;
    for _ in 0..SHARERS_MAX {
        if links.iter().all(|link| *link == 0) {
            break;
        }
        let items: Vec<u64> = links.iter().map(|link| entry(*link, item.node)).collect();
        let rows = memory.rows(&items, &Members::of(&[item.anon, item.next]))?;
        for (sharers, anon) in sharers.iter_mut().zip(rows.pointers(item.anon)) {
            // The lowest bits are none of the address.
            sharers.extend(Some(anon & !7).filter(|anon| *anon != 0));
        }
        links = rows.pointers(item.next);
    }
    for sharers in &mut sharers {
        sharers.sort_unstable();
        sharers.dedup();
    }
    Ok(sharers)
}
