//! Pages behind a page that the kernel charges for itself, which were allocated with it and carry no mark: a page table's top level with
//! page table isolation is two pages, a stack that is not vmalloc'ed four. Where each page is a reference, they count; their
//! number is written nowhere.
//!
//! They are found by what they are not. An allocation of 2^n pages is aligned to its size, so a free page behind one that is in use
//! is in the hands of the page allocator by itself: it has its mark (`PageBuddy`), or is on a list of its CPU. What has no
//! users, no mark and no list belongs to the page before it.

use memcg_trace_common::ABSENT;

use super::{folio::FirstPage, groups::Groups, layout::PageLayout, pass::Pass, vmemmap::Vmemmap};
use crate::kernel::memory::{Members, Memory, MemoryError};

/// Doublings of a page that are looked at: 64 KiB are more than any stack.
const ORDER_MAX: u32 = 4;
/// `list_head.prev`
const PREV: u64 = 8;

/// Counts the pages behind those that were found one by one.
pub(super) fn read(pass: &mut Pass<'_>, groups: &mut Groups, map: &Vmemmap) -> Result<(), MemoryError> {
    let firsts = groups.take_firsts();
    for (first, pages) in behind(pass.memory, &pass.layout.page, map.start, firsts)? {
        groups.behind(first.memcg, first.kind, pages);
    }
    Ok(())
}

/// The pages that each doubling brings; `start` is the `struct page` of page number 0.
fn behind(
    memory: &mut dyn Memory,
    page: &PageLayout,
    start: u64,
    mut firsts: Vec<FirstPage>,
) -> Result<Vec<(FirstPage, u64)>, MemoryError> {
    let mut found = Vec::new();
    if [page.mapcount, page.refcount, page.memcg, page.lru].contains(&ABSENT) || page.size == 0 {
        return Ok(found);
    }
    let size = u64::from(page.size);
    for pages in (0..ORDER_MAX).map(|order| 1 << order) {
        firsts.retain(|first| (first.address.wrapping_sub(start) / size).is_multiple_of(2 * pages));
        let tails = |first: &FirstPage| {
            (pages..2 * pages).map(|page| first.address.wrapping_add(page * size)).collect()
        };
        let addresses: Vec<Vec<u64>> = firsts.iter().map(tails).collect();
        let are_tails = are_tails(memory, page, &addresses.concat())?;
        let mut are_tails = are_tails.chunks(pages as usize);
        firsts.retain(|_| are_tails.next().is_some_and(|are_tails| are_tails.iter().all(|is_tail| *is_tail)));
        found.extend(firsts.iter().map(|first| (*first, pages)));
    }
    Ok(found)
}

/// Whether these pages have no users, no mark and no list.
fn are_tails(
    memory: &mut dyn Memory,
    page: &PageLayout,
    addresses: &[u64],
) -> Result<Vec<bool>, MemoryError> {
    let rows = memory.rows(addresses, &Members::of(&[page.mapcount, page.refcount, page.memcg, page.lru]))?;
    let next = rows.pointers(page.lru).into_iter();
    let behind: Vec<u64> = next.map(|next| if next == 0 { 0 } else { next.wrapping_add(PREV) }).collect();
    let back = memory.pointers(&behind, 0)?;
    let is_tail = |(row, address): (usize, &u64)| {
        rows.get::<u32>(row, page.refcount) == Some(0)
            && rows.get::<u32>(row, page.mapcount) == Some(u32::MAX)
            && rows.get::<u64>(row, page.memcg) == Some(0)
            && back[row] != address.wrapping_add(page.lru.into())
    };
    Ok(addresses.iter().enumerate().map(is_tail).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::{super::folio::tests::layout, *};
    use crate::{
        cause::KernelPages,
        kernel::memory::{ByKcore, kcore::Kcore},
    };

    const MAP: u64 = 0xffff_ea00_0000_0000;
    const MEMCG: u64 = 0xffff_8880_3c00_0000;
    /// `LIST_POISON1`
    const POISON: u64 = 0xdead_0000_0000_0100;

    #[derive(Clone, Copy)]
    enum PageState {
        First,
        Tail,
        /// Free, in the hands of the page allocator.
        Buddy,
        /// Free, on a CPU's list with nothing else.
        Listed,
        Used,
    }

    fn map(pages: &[PageState]) -> Box<dyn Memory> {
        let words = |(number, state): (usize, &PageState)| {
            let lru = MAP + 64 * number as u64 + 8;
            let (lru, memcg) = match state {
                PageState::First => (POISON, MEMCG),
                PageState::Listed => (lru, 0),
                PageState::Tail | PageState::Buddy | PageState::Used => (POISON, 0),
            };
            let [mapcount, refcount]: [u32; 2] = match state {
                PageState::First => [0xffff_fdff, 1],
                PageState::Tail | PageState::Listed => [u32::MAX, 0],
                PageState::Buddy => [0xffff_ff7f, 0],
                PageState::Used => [u32::MAX, 1],
            };
            let counts = u64::from(mapcount) | u64::from(refcount) << 32;
            [0, lru, lru, 0, 0, 0, counts, memcg]
        };
        let bytes: Vec<u8> =
            pages.iter().enumerate().flat_map(words).flat_map(|word: u64| word.to_ne_bytes()).collect();
        let mut file = File::from(memfd_create(c"map", MFdFlags::empty()).expect("a file in memory"));
        file.write_all(&bytes).expect("room");
        Box::new(ByKcore::new(Kcore::of(file, MAP..MAP + bytes.len() as u64)))
    }

    #[test]
    fn pages_behind_belong_to_the_first_unless_something_says_that_they_are_free() {
        use PageState::{Buddy, First, Listed, Tail, Used};
        /// Pages from number 0 on, the number of the first one, and how many are found behind it.
        type Row<'a> = (&'a [PageState], u64, u64);
        let table: &[Row<'_>] = &[
            (&[First, Used, Tail, Tail], 0, 0),
            (&[First, Tail, Used, Used], 0, 1),
            (&[First, Tail, Tail, Tail, Used, Used, Used, Used], 0, 3),
            (&[First, Tail, Tail, Listed, Used, Used, Used, Used], 0, 1),
            (&[First, Buddy, Used, Used], 0, 0),
            (&[First, Listed, Used, Used], 0, 0),
            // Not aligned: it is one page.
            (&[Used, First, Tail, Tail], 1, 0),
            (&[Used, Used, First, Tail, Tail, Tail, Tail, Tail], 2, 1),
            // The end of memory.
            (&[First, Tail], 0, 1),
            (&[First], 0, 0),
        ];
        for (number, (pages, first, expected)) in table.iter().enumerate() {
            let first = FirstPage { memcg: 0, kind: KernelPages::Other, address: MAP + 64 * first };
            let found = behind(&mut *map(pages), &layout(true), MAP, vec![first]).expect("memory");
            assert_eq!(found.iter().map(|(_, pages)| pages).sum::<u64>(), *expected, "row {number}");
        }
    }
}
