//! `struct page` and `struct folio`.

use memcg_trace_common::{ABSENT, ENTRY_WORDS};

use super::offsets;
use crate::kernel::layout::Types;

offsets! {
    SlabCacheLayout of "kmem_cache" {
        name: "name",
    }
}

/// The words that are read of a `struct page`.
pub(in crate::kernel::pins) type PageWords = [u64; ENTRY_WORDS];

/// Offsets in `struct page` and `struct folio`, and the bits of its flags.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct PageLayout {
    /// Bytes of one `struct page`.
    pub size: u32,
    pub flags: u32,
    pub lru: u32,
    pub mapping: u32,
    /// `page.memcg_data`; `page.mem_cgroup` before 5.11 (bcfe06bf2622).
    pub memcg: u32,
    pub mapcount: u32,
    pub refcount: u32,
    /// From the head page on: how many pages the folio has (`_nr_pages`; `_folio_nr_pages` before 6.15), or what comes before
    /// that as a power of two.
    pub nr_pages: u32,
    /// `compound_order` in a byte (before 6.6), or the lowest byte of `_flags_1`.
    pub order: u32,
    /// Number of mappings of the whole folio minus one: `_entire_mapcount`, `compound_mapcount` before 6.3.
    pub entire_mapcount: u32,
    /// Number of mappings of its pages minus one: `_large_mapcount` (6.10).
    pub large_mapcount: u32,
    /// Pages that the kernel charges for itself refer to the memcg: up to 5.10 (b4e0b68fbd9d "mm: memcontrol: use obj_cgroup APIs to
    /// charge kmem pages"), whose pages have a `mem_cgroup`.
    pub kernel: bool,
    /// `page.slab_cache`. Up to 5.2 (4d96ba353075) slab pages refer to the memcg, too.
    pub slab_cache: u32,
    /// Each base page refers to its memcg, not each folio: up to 5.8 (1a3e1f40962c "mm: memcontrol: decouple reference counting
    /// from page accounting"). The same release brought `struct obj_cgroup`.
    pub refs_by_page: bool,
    pub head: u64,
    pub slab: u64,
    pub dirty: u64,
    pub writeback: u64,
    pub mlocked: u64,
    pub swapcache: u64,
    pub swapbacked: u64,
}

impl PageLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let page = |member| types.optional("page", member);
        let first = |members: [Option<u32>; 3]| members.into_iter().flatten().next().unwrap_or(ABSENT);
        let folio = |member| types.offset("folio", member);
        let size = types.size("page").unwrap_or(ABSENT);
        let second = |member| types.offset("page", member).map(|offset| offset.saturating_add(size));
        let flag = |name| types.enum_value("pageflags", name).map_or(0, |bit| 1 << (bit & 63));
        Self {
            size,
            flags: page("flags"),
            lru: page("lru"),
            mapping: page("mapping"),
            memcg: types.offset("page", "memcg_data").unwrap_or_else(|| page("mem_cgroup")),
            mapcount: page("_mapcount"),
            refcount: page("_refcount"),
            nr_pages: first([folio("_nr_pages"), folio("_folio_nr_pages"), second("compound_nr")]),
            order: first([folio("_folio_order"), second("compound_order"), folio("_flags_1")]),
            entire_mapcount: first([
                folio("_entire_mapcount"),
                folio("_compound_mapcount"),
                second("compound_mapcount"),
            ]),
            large_mapcount: first([folio("_large_mapcount"), None, None]),
            kernel: types.offset("page", "mem_cgroup").is_some(),
            slab_cache: page("slab_cache"),
            refs_by_page: types.size("obj_cgroup").is_none(),
            head: flag("PG_head"),
            slab: flag("PG_slab"),
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
}

/// The word at an offset; 0 where it is not one of those that were read.
pub(in crate::kernel::pins) fn word(page: &PageWords, offset: u32) -> u64 {
    index(offset).map_or(0, |index| page[index as usize])
}

/// The index of the word at an offset. `None`: not among those that are read.
pub(in crate::kernel::pins) fn index(offset: u32) -> Option<u32> {
    let index = offset / size_of::<u64>() as u32;
    ((index as usize) < ENTRY_WORDS).then_some(index)
}
