//! Pages on no list, by the map of all pages: mlocked ones since 5.18, hugetlb folios that are charged (6.7), isolated ones, and
//! up to 5.10 pages that the kernel charges for itself. What the lists have is found once more, and counts once.

use memcg_trace_common::{BLOCK_BYTES, READ_MAX, Request};
use zerocopy::FromBytes as _;

use super::{
    groups::Groups,
    layout::{PageLayout, PageWords, index, word},
    pass::{KnownMemcgs, Pass},
    tails,
    vmemmap::Vmemmap,
};
use crate::{cause::MapCompared, kernel::memory::MemoryError};

const WHAT: &str = "pages on no list";

/// Goes through all pages, and says what is new among them. `None`: it did not come to the end.
pub(super) fn read(
    pass: &mut Pass<'_>,
    groups: &mut Groups,
    map: &Vmemmap,
) -> Result<Option<MapCompared>, MemoryError> {
    let listed = groups.count();
    let page = pass.layout.page;
    let size = page.size as usize;
    if index(page.memcg).is_none() || index(page.lru).is_none() || size < size_of::<PageWords>() {
        pass.unread(WHAT, "BTF does not describe them");
        return Ok(None);
    }
    let each = BLOCK_BYTES / size;
    let mut scan = Scan { memcgs: pass.memcgs, groups, page, other: 0, found: 0 };
    for range in &map.ranges {
        for first in range.clone().step_by(each) {
            let address = map.start.wrapping_add(first * size as u64);
            let count = (range.end - first).min(each as u64) as usize;
            match pass.memory.block(address)? {
                Some(block) => {
                    for (number, bytes) in block.chunks_exact(size).take(count).enumerate() {
                        scan.page(address.wrapping_add((number * size) as u64), bytes);
                    }
                }
                // The end of what is memory, or a hole.
                None => {
                    let pages = (0..count).map(|number| address.wrapping_add((number * size) as u64));
                    let request = |address| Request { address, length: size.min(READ_MAX) as u32, string: 0 };
                    let requests: Vec<Request> = pages.map(request).collect();
                    pass.memory.read(&requests, &mut |number, bytes| {
                        scan.page(requests[number].address, bytes.unwrap_or_default());
                    })?;
                }
            }
            scan.groups.settle_some(pass.memory)?;
            if pass.is_late(WHAT) {
                return Ok(None);
            }
        }
    }
    let on_no_list = scan.groups.count() - listed;
    let on_lists = scan.found.saturating_sub(on_no_list);
    tails::read(pass, groups, map)?;
    Ok(Some(MapCompared { on_lists, on_no_list, gone: listed.saturating_sub(on_lists) }))
}

/// The state of a scan.
struct Scan<'a> {
    memcgs: &'a KnownMemcgs,
    groups: &'a mut Groups,
    page: PageLayout,
    /// Neighbours often belong to the same memcg, and that is most often none of ours.
    other: u64,
    /// Folios of ours.
    found: u64,
}

impl Scan<'_> {
    /// Takes the page at `address`, if it is one of ours; one that could not be read has no bytes.
    fn page(&mut self, address: u64, bytes: &[u8]) {
        let Ok((words, _)) = PageWords::read_from_prefix(bytes) else { return };
        let memcg = word(&words, self.page.memcg);
        if memcg == self.other || memcg == 0 {
            return;
        }
        match self.memcgs.at(memcg) {
            // The later pages of a larger one say so in the place of `lru.next` (`compound_head`).
            Some(_) if word(&words, self.page.lru) & 1 != 0 => {}
            Some(memcg) => {
                self.found += 1;
                self.groups.folio(memcg, address, &words);
            }
            None => self.other = memcg,
        }
    }
}
