//! Pages on no list, by the map of all pages: mlocked ones since 5.18, hugetlb folios that are charged (6.7), isolated ones, and
//! up to 5.10 pages that the kernel charges for itself. What the lists have is found once more, and counts once.

use memcg_trace_common::BLOCK_BYTES;
use zerocopy::FromBytes as _;

use super::{
    groups::Groups,
    layout::{PageWords, index, word},
    pass::Pass,
    vmemmap::Vmemmap,
};
use crate::kernel::memory::MemoryError;

const WHAT: &str = "pages on no list";

/// Goes through all pages.
pub(super) fn read(pass: &mut Pass<'_>, groups: &mut Groups, map: &Vmemmap) -> Result<(), MemoryError> {
    let page = pass.layout.page;
    let size = page.size as usize;
    if index(page.memcg).is_none() || index(page.lru).is_none() || size < size_of::<PageWords>() {
        pass.unread(WHAT, "BTF does not describe them");
        return Ok(());
    }
    let memcgs = pass.memcgs;
    let each = (BLOCK_BYTES / size) as u64;
    // Neighbours often belong to the same memcg, and that is most often none of ours.
    let mut other = 0;
    for range in &map.ranges {
        for first in range.clone().step_by(each as usize) {
            let address = map.start.wrapping_add(first * size as u64);
            let count = (range.end - first).min(each) as usize;
            let Some(block) = pass.memory.block(address)? else {
                pass.unread("some pages", "not all of the map of pages is readable");
                continue;
            };
            for (number, bytes) in block.chunks_exact(size).take(count).enumerate() {
                let Ok((words, _)) = PageWords::read_from_prefix(bytes) else { continue };
                let memcg = word(&words, page.memcg);
                if memcg == other || memcg == 0 {
                    continue;
                }
                match memcgs.at(memcg) {
                    // The later pages of a larger one say so in the place of `lru.next` (`compound_head`).
                    Some(_) if word(&words, page.lru) & 1 != 0 => {}
                    Some(memcg) => groups.page(memcg, address.wrapping_add((number * size) as u64), &words),
                    None => other = memcg,
                }
            }
            groups.settle_some(pass.memory)?;
            if pass.is_late(WHAT) {
                return Ok(());
            }
        }
    }
    Ok(())
}
