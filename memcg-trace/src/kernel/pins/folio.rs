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

/// A page of the kernel's that may be the first of several, which carry no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstPage {
    pub memcg: usize,
    pub kind: KernelPages,
    /// Of its `struct page`.
    pub address: u64,
}

impl PageLayout {
    /// The use of a page that the kernel charges for itself; `None`: it is part of a file or of anonymous memory.
    pub fn kernel(&self, page: &PageWords) -> Option<KernelPages> {
        let page_type = index(self.mapcount).filter(|_| self.kernel).map(|_| self.mapcount_of(page))?;
        // `PageType`: bits that are cleared say what it is; a mapcount has not all of the upper ones set.
        if page_type & PAGE_TYPE_BASE != PAGE_TYPE_BASE || page_type == u32::MAX {
            return None;
        }
        Some(if page_type & PG_TABLE == 0 { KernelPages::PageTable } else { KernelPages::Other })
    }

    /// The slab cache that a page is of; `None`: of none.
    pub fn slab_cache(&self, page: &PageWords) -> Option<u64> {
        let is_slab = self.kernel && word(page, self.flags) & self.slab != 0;
        index(self.slab_cache).filter(|_| is_slab).map(|_| word(page, self.slab_cache))
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

#[cfg(test)]
pub(super) mod tests {
    use memcg_trace_common::ABSENT;

    use super::*;

    const SLAB: u64 = 1 << 9;

    /// That of 4.19.48; `kernel`: whether pages have a `mem_cgroup`.
    pub fn layout(kernel: bool) -> PageLayout {
        PageLayout {
            size: 64,
            flags: 0,
            lru: 8,
            mapping: 24,
            memcg: 56,
            mapcount: 48,
            refcount: 52,
            nr_pages: ABSENT,
            order: 64 + 17,
            entire_mapcount: 64 + 20,
            large_mapcount: ABSENT,
            kernel,
            slab_cache: 24,
            refs_by_page: true,
            head: 1 << 15,
            slab: SLAB,
            dirty: 1 << 4,
            writeback: 1 << 13,
            mlocked: 1 << 21,
            swapcache: 1 << 10,
            swapbacked: 1 << 19,
        }
    }

    #[test]
    fn pages_of_the_kernel_and_of_slab_caches_are_told_from_those_of_files() {
        const CACHE: u64 = 0xffff_8880_3c00_0000;
        let page = |flags: u64, page_type: u32| [flags, 0, 0, CACHE, 0, 0, u64::from(page_type), 0];
        /// Words, what it is of the kernel's, and the slab cache that it is of.
        type Row = (PageWords, Option<KernelPages>, Option<u64>);
        let table: &[Row] = &[
            // Not mapped, mapped once.
            (page(0, u32::MAX), None, None),
            (page(0, 0), None, None),
            // PG_kmemcg, and PG_table with it.
            (page(0, 0xffff_fdff), Some(KernelPages::Other), None),
            (page(0, 0xffff_f9ff), Some(KernelPages::PageTable), None),
            (page(SLAB, u32::MAX), None, Some(CACHE)),
        ];
        for (words, kernel, slab_cache) in table {
            let layout = layout(true);
            assert_eq!(
                (layout.kernel(words), layout.slab_cache(words)),
                (*kernel, *slab_cache),
                "{words:x?}"
            );
        }
        // The type of a hugetlb folio (6.11), which has nothing of that.
        let later = layout(false);
        assert_eq!((later.kernel(&page(SLAB, 0xf4ff_ffff)), later.slab_cache(&page(SLAB, 0))), (None, None));
    }
}
