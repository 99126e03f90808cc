//! Pages that were seen, a bit each: no more than a 32,768th of the memory that they describe.

use foldhash::HashMap;

/// Pages of one block: a section of the memory map (`SECTION_SIZE_BITS`) on x86-64.
const BLOCK_PAGES: u64 = 1 << 15;
const WORDS: usize = (BLOCK_PAGES / u64::BITS as u64) as usize;

/// A set of `struct page`s, by their addresses.
#[derive(Debug)]
pub(super) struct PageSet {
    /// Bytes of a `struct page`.
    size: u64,
    blocks: HashMap<u64, Box<[u64; WORDS]>>,
    /// More blocks than the machine has memory for: addresses that would need more are none of pages.
    limit: usize,
}

impl PageSet {
    /// For pages of `size` bytes each, on a machine with that much memory.
    pub fn new(size: u32, memory_bytes: u64, page_bytes: u64) -> Self {
        let pages = memory_bytes / page_bytes.max(1);
        // Memory has holes, and blocks are not aligned to sections.
        let limit = 64 + 4 * (pages / BLOCK_PAGES) as usize;
        Self { size: u64::from(size).max(1), blocks: HashMap::default(), limit }
    }

    /// Adds a page and says whether it is new; false as well for an address that cannot be a page.
    pub fn insert(&mut self, page: u64) -> bool {
        let number = page / self.size;
        let (block, within) = (number / BLOCK_PAGES, number % BLOCK_PAGES);
        if !self.blocks.contains_key(&block) && self.blocks.len() >= self.limit {
            return false;
        }
        let words = self.blocks.entry(block).or_insert_with(|| Box::new([0; WORDS]));
        let (word, bit) = (&mut words[(within / 64) as usize], 1 << (within % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_once_and_never_more_than_memory_has() {
        let mut set = PageSet::new(64, 1 << 30, 4096);
        let map = 0xffff_ea00_0000_0000_u64;
        for page in 0..1 << 18 {
            assert!(set.insert(map + 64 * page), "{page}");
        }
        assert!((0..1 << 18).all(|page| !set.insert(map + 64 * page)));
        let blocks = (0..1_u64 << 12).filter(|garbage| set.insert(garbage << 40)).count();
        assert!(blocks <= set.limit && set.blocks.len() <= set.limit, "{blocks}");
    }
}
