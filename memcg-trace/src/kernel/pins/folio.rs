//! Facts about a folio: from the first 64 bytes of its `struct page`, and for large ones the page behind it.

use super::layout::{PageLayout, PageWords, index, word};
use crate::{
    cause::{Folios, KernelPages},
    kernel::memory::{Members, Rows},
};

/// More pages than any folio has (1 GiB of hugetlb, and then some): whatever says more is none.
const PAGES_MAX: u64 = 1 << 24;

/// `page.page_type` and its bits (include/linux/page-flags.h of 5.10).
const PAGE_TYPE_BASE: u32 = 0xf000_0000;
const PG_TABLE: u32 = 0x400;

impl PageLayout {
    /// The use of a page that the kernel charges for itself; `None`: it is part of a file or of anonymous memory. Only up
    /// to 5.10 do these point to the memcg itself (and not to an obj_cgroup: b4e0b68fbd9d).
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

    /// References that such folios hold.
    pub fn refs(&self, folios: &Folios) -> u64 {
        if self.refs_by_page { folios.pages } else { folios.folios }
    }

    /// True for folios of more than one page.
    pub fn is_large(&self, page: &PageWords) -> bool {
        word(page, self.flags) & self.head != 0
    }

    /// The members that [`PageLayout::large`] needs, of the head page and the one behind it.
    pub fn large_members(&self) -> Members {
        Members::of(&[self.nr_pages, self.order, self.entire_mapcount, self.large_mapcount])
    }

    /// Counts a folio of one page. Of a larger one, pages and mappings are missing.
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

    /// The same of a larger one, by a row of [`PageLayout::large_members`].
    pub fn large(&self, page: &PageWords, rows: &Rows, row: usize) -> Folios {
        let nr_pages = rows.get::<u32>(row, self.nr_pages).map(u64::from);
        let order = rows.get::<u8>(row, self.order).filter(|order| *order < 32);
        let pages = nr_pages.filter(|pages| *pages > 1).or(order.map(|order| 1 << order));
        let mapcount = |offset| rows.get::<i32>(row, offset).map(|count| count >= 0);
        let mapped = match (mapcount(self.entire_mapcount), mapcount(self.large_mapcount)) {
            (_, Some(mapped)) => Some(mapped),
            (Some(true), None) => Some(true),
            // Parts of it may be mapped.
            _ => None,
        };
        Folios {
            pages: pages.filter(|pages| *pages <= PAGES_MAX).unwrap_or(1),
            mapped: mapped.map(u64::from),
            large: 1,
            ..self.count(page)
        }
    }
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
