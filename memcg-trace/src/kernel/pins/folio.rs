//! What a folio says of itself: the first 64 bytes of its `struct page`, and the page behind it if it has one.

use memcg_trace_common::{ABSENT, ENTRY_WORDS};

use super::super::layout::Types;
use crate::cause::{Folios, KernelPages};

/// The words that are read of a `struct page`.
pub(super) type PageWords = [u64; ENTRY_WORDS];

/// More pages than any folio has (1 GiB of hugetlb, and then some): whatever says more is none.
const PAGES_MAX: u64 = 1 << 24;

/// `page.page_type` and its bits (include/linux/page-flags.h of 5.10).
const PAGE_TYPE_BASE: u32 = 0xf000_0000;
const PG_TABLE: u32 = 0x400;

/// Where the members of `struct page` are, and which bits its flags have.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageLayout {
    /// Bytes of one `struct page`.
    pub size: u32,
    pub flags: u32,
    pub lru: u32,
    pub mapping: u32,
    /// `page.memcg_data`; `page.mem_cgroup` before 5.11 (bcfe06bf2622).
    pub memcg: u32,
    pub mapcount: u32,
    /// From the head page on: how many pages the folio has (`_nr_pages`; `_folio_nr_pages` before 6.15), or what comes before
    /// that as a power of two.
    nr_pages: u32,
    /// `compound_order` in a byte (before 6.6), or the lowest byte of `_flags_1` (ebc1baf5c9b4).
    order: u32,
    /// `_large_mapcount` (6.10, 05c5323b2a34), one less than it says.
    large_mapcount: u32,
    pub head: u64,
    dirty: u64,
    writeback: u64,
    mlocked: u64,
    swapcache: u64,
    swapbacked: u64,
}

impl PageLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let page = |member| types.optional("page", member);
        let first = |members: [Option<u32>; 3]| members.into_iter().flatten().next().unwrap_or(ABSENT);
        let folio = |member| types.offset("folio", member);
        let size = types.size("page").unwrap_or(ABSENT);
        let second = |member| types.offset("page", member).map(|offset| offset + size);
        let flag = |name| types.enum_value("pageflags", name).map_or(0, |bit| 1 << (bit & 63));
        Self {
            size,
            flags: page("flags"),
            lru: page("lru"),
            mapping: page("mapping"),
            memcg: types.offset("page", "memcg_data").unwrap_or_else(|| page("mem_cgroup")),
            mapcount: page("_mapcount"),
            nr_pages: first([folio("_nr_pages"), folio("_folio_nr_pages"), second("compound_nr")]),
            order: first([folio("_folio_order"), second("compound_order"), folio("_flags_1")]),
            large_mapcount: first([folio("_large_mapcount"), None, None]),
            head: flag("PG_head"),
            dirty: flag("PG_dirty"),
            writeback: flag("PG_writeback"),
            mlocked: flag("PG_mlocked"),
            swapcache: flag("PG_swapcache"),
            swapbacked: flag("PG_swapbacked"),
        }
    }

    /// A page can be followed on a list by its words alone.
    pub fn is_listed(&self) -> bool {
        [self.flags, self.lru, self.mapping, self.memcg].into_iter().all(|offset| index(offset).is_some())
    }

    /// What the kernel uses a page for that it charges for itself; `None`: it is part of a file or of anonymous memory. Only up
    /// to 5.10 do these say the memcg itself (and not an obj_cgroup: b4e0b68fbd9d).
    pub fn kernel(&self, page: &PageWords) -> Option<KernelPages> {
        let page_type = index(self.mapcount).map(|_| self.mapcount_of(page))?;
        // `PageType`: bits that are cleared say what it is; a mapcount has not all of the upper ones set.
        if page_type & PAGE_TYPE_BASE != PAGE_TYPE_BASE || page_type == u32::MAX {
            return None;
        }
        Some(if page_type & PG_TABLE == 0 { KernelPages::PageTable } else { KernelPages::Other })
    }

    fn mapcount_of(&self, page: &PageWords) -> u32 {
        (word(page, self.mapcount & !7) >> (8 * (self.mapcount & 7))) as u32
    }

    /// Whether it has more than one page.
    pub fn is_large(&self, page: &PageWords) -> bool {
        word(page, self.flags) & self.head != 0
    }

    /// Offsets of what [`PageLayout::large`] wants to know.
    pub fn large_members(&self) -> [u32; 3] {
        [self.nr_pages, self.order, self.large_mapcount]
    }

    /// What is counted of a folio of one page, or, without its pages and whether it is mapped, of a larger one.
    pub fn count(&self, page: &PageWords) -> Folios {
        let flags = word(page, self.flags);
        let has = |bit: u64| u64::from(flags & bit != 0);
        // PG_swapcache is PG_owner_priv_1, which file systems use for their own files' pages.
        let swapcache = if flags & self.swapbacked == self.swapbacked { has(self.swapcache) } else { 0 };
        let mapcount = index(self.mapcount).map(|_| self.mapcount_of(page));
        Folios {
            folios: 1,
            pages: 1,
            dirty: has(self.dirty),
            writeback: has(self.writeback),
            mapped: mapcount.map(|mapcount| u64::from(mapcount as i32 >= 0)),
            mlocked: has(self.mlocked),
            swapcache,
            ..Folios::default()
        }
    }

    /// The same of a larger one, by what stands at [`PageLayout::large_members`].
    pub fn large(
        &self,
        page: &PageWords,
        nr_pages: Option<u32>,
        order: Option<u8>,
        mapcount: Option<i32>,
    ) -> Folios {
        let by_order = order.filter(|order| *order < 32).map(|order| 1 << order);
        let pages = nr_pages.map(u64::from).filter(|pages| *pages > 1).or(by_order);
        Folios {
            pages: pages.filter(|pages| *pages <= PAGES_MAX).unwrap_or(1),
            mapped: mapcount.map(|mapcount| u64::from(mapcount >= 0)),
            large: 1,
            ..self.count(page)
        }
    }
}

/// The word at an offset; 0 where it is not one of those that were read.
pub(super) fn word(page: &PageWords, offset: u32) -> u64 {
    index(offset).map_or(0, |index| page[index as usize])
}

/// Which of the words it is.
pub(super) fn index(offset: u32) -> Option<u32> {
    let index = offset / size_of::<u64>() as u32;
    ((index as usize) < ENTRY_WORDS).then_some(index)
}

/// Adds up what two sets of folios are.
pub(super) fn add(to: &mut Folios, more: &Folios) {
    to.mapped = if to.folios == 0 { more.mapped } else { to.mapped.zip(more.mapped).map(|(a, b)| a + b) };
    to.folios += more.folios;
    to.pages += more.pages;
    to.dirty += more.dirty;
    to.writeback += more.writeback;
    to.mlocked += more.mlocked;
    to.swapcache += more.swapcache;
    to.large += more.large;
    to.hugetlb += more.hugetlb;
}
