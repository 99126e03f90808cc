//! Folios by whom they belong to: the memcg that is charged, and the file or the anonymous memory that they are part of.

use foldhash::HashMap;

use super::{
    folio::{self, FirstPage},
    layout::{PageLayout, PageWords, word},
    page_set::PageSet,
};
use crate::{
    cause::{Folios, KernelPages},
    kernel::memory::{Memory, MemoryError},
};

/// Bits of `page.mapping` that say what it is (`PAGE_MAPPING_FLAGS`, include/linux/page-flags.h).
const KIND: u64 = 3;
/// More of them in memory at once than is needed for a full batch.
const PENDING_MAX: usize = 256;

/// The owner of a folio: a file or anonymous memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Whole {
    /// Address of a `struct address_space`.
    Mapping(u64),
    /// Address of a `struct anon_vma`.
    Anon(u64),
    /// Address of a `struct ksm_stable_node`: one page, shared by whoever has equal ones.
    Ksm(u64),
    /// Cut off, or not yet part of anything.
    Nothing,
}

/// All folios that were found.
#[derive(Debug)]
pub(super) struct Groups {
    seen: PageSet,
    /// Folios in it.
    count: u64,
    /// By memcg (its number among those of the pass).
    folios: HashMap<(usize, Whole), Folios>,
    /// Pages that the kernel charges for itself, by memcg.
    kernel: HashMap<(usize, KernelPages), Folios>,
    /// Pages of slab caches, by memcg and the address of the cache.
    slabs: HashMap<(usize, u64), Folios>,
    /// Pages among these that may be the first of several, where that makes a difference.
    firsts: Vec<FirstPage>,
    /// Folios of more than one page, whose size is not known yet: memcg, address, words.
    large: Vec<(usize, u64, PageWords)>,
    page: PageLayout,
}

impl Whole {
    fn of(mapping: u64) -> Self {
        match (mapping & KIND, mapping & !KIND) {
            (0, 0) => Self::Nothing,
            (0, address) => Self::Mapping(address),
            (1, address) => Self::Anon(address),
            (3, address) => Self::Ksm(address),
            _ => Self::Nothing,
        }
    }
}

impl Groups {
    pub fn new(page: PageLayout, seen: PageSet) -> Self {
        let (folios, kernel, slabs) = (HashMap::default(), HashMap::default(), HashMap::default());
        Self { seen, count: 0, folios, kernel, slabs, firsts: Vec::new(), large: Vec::new(), page }
    }

    /// Takes one folio or page, on a list or on none, unless it was there before.
    pub fn folio(&mut self, memcg: usize, page: u64, words: &PageWords) {
        if !self.is_new(page) {
            return;
        }
        if self.page.is_large(words) {
            self.large.push((memcg, page, *words));
        } else {
            self.add(memcg, words, &self.page.count(words));
            if let Some(kind) = self.page.kernel(words).filter(|_| self.page.refs_by_page) {
                self.firsts.push(FirstPage { memcg, kind, address: page });
            }
        }
    }

    fn is_new(&mut self, page: u64) -> bool {
        let new = self.seen.insert(page);
        self.count += u64::from(new);
        new
    }

    /// How many folios were taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// References of all that are settled, of each of so many memcgs.
    pub fn refs(&self, memcgs: usize) -> Vec<u64> {
        let mut refs = vec![0; memcgs];
        self.folios.iter().for_each(|((memcg, _), folios)| refs[*memcg] += self.page.refs(folios));
        self.kernel.iter().for_each(|((memcg, _), folios)| refs[*memcg] += self.page.refs(folios));
        self.slabs.iter().for_each(|((memcg, _), folios)| refs[*memcg] += self.page.refs(folios));
        refs
    }

    /// Takes out the pages that may be the first of several.
    pub fn take_firsts(&mut self) -> Vec<FirstPage> {
        std::mem::take(&mut self.firsts)
    }

    /// Takes so many pages that belong to one of the kernel's.
    pub fn behind(&mut self, memcg: usize, kind: KernelPages, pages: u64) {
        self.kernel.entry((memcg, kind)).or_default().pages += pages;
    }

    /// Takes out the kernel's own, in order.
    pub fn take_kernel(&mut self) -> Vec<((usize, KernelPages), Folios)> {
        let mut kernel: Vec<_> = self.kernel.drain().collect();
        kernel.sort_unstable_by_key(|(group, _)| *group);
        kernel
    }

    /// Takes out those of slab caches, in order.
    pub fn take_slabs(&mut self) -> Vec<((usize, u64), Folios)> {
        let mut slabs: Vec<_> = self.slabs.drain().collect();
        slabs.sort_unstable_by_key(|(group, _)| *group);
        slabs
    }

    fn add(&mut self, memcg: usize, words: &PageWords, folios: &Folios) {
        let group = if let Some(cache) = self.page.slab_cache(words) {
            self.slabs.entry((memcg, cache)).or_default()
        } else if let Some(kind) = self.page.kernel(words) {
            self.kernel.entry((memcg, kind)).or_default()
        } else {
            let whole = Whole::of(word(words, self.page.mapping));
            self.folios.entry((memcg, whole)).or_default()
        };
        folio::add(group, folios);
    }

    /// Reads how large the folios are of which it is not known, if they are enough for a batch.
    pub fn settle_some(&mut self, memory: &mut dyn Memory) -> Result<(), MemoryError> {
        if self.large.len() < PENDING_MAX { Ok(()) } else { self.settle(memory) }
    }

    /// Reads how large the folios are of which it is not known.
    pub fn settle(&mut self, memory: &mut dyn Memory) -> Result<(), MemoryError> {
        let large = std::mem::take(&mut self.large);
        let heads: Vec<u64> = large.iter().map(|(_, page, _)| *page).collect();
        let rows = memory.rows(&heads, &self.page.large_members())?;
        for (row, (memcg, _, words)) in large.iter().enumerate() {
            let folios = self.page.large(words, &rows, row);
            self.add(*memcg, words, &folios);
        }
        Ok(())
    }

    /// All groups, in order.
    pub fn into_sorted(self) -> Vec<((usize, Whole), Folios)> {
        let mut groups: Vec<_> = self.folios.into_iter().collect();
        groups.sort_unstable_by_key(|(group, _)| *group);
        groups
    }
}
