//! Kernel memory that is the same few thousand bytes everywhere, so that any pointer leads somewhere, and most of them in circles.

use memcg_trace::kernel::memory::{Memory, MemoryError, OnAnswer, OnEntry};
use memcg_trace_common::{BLOCK_BYTES, ENTRY_WORDS, LIST_STEPS, List, ListEnd, READ_MAX, Request};

/// Reads of one look: so many times 256 bytes are more than a machine with a million tasks takes. An endless loop takes more.
const READS_MAX: u64 = 1 << 24;

/// The memory.
pub struct Image {
    length: u64,
    /// Once, and the beginning again.
    bytes: Vec<u8>,
    block: Vec<u8>,
    reads: u64,
}

impl Image {
    /// Of some bytes, one at least.
    pub fn of(bytes: &[u8]) -> Self {
        let again = bytes.iter().cycle().take(bytes.len() + READ_MAX);
        Self { length: bytes.len() as u64, bytes: again.copied().collect(), block: Vec::new(), reads: 0 }
    }

    /// At most [`READ_MAX`] bytes at an address; `None`: nothing is mapped there, which is so below the first page and between the
    /// memory of programs and the kernel's.
    pub fn at(&self, address: u64, length: usize) -> Option<&[u8]> {
        let end = address.checked_add(length as u64)?;
        let mapped = |address: u64| address >= 4096 && matches!(address >> 47, 0 | 0x1_ffff);
        let start = (address % self.length) as usize;
        (mapped(address) && mapped(end)).then(|| &self.bytes[start..start + length])
    }

    /// The word at an address.
    pub fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.at(address, 8)?.try_into().ok()?))
    }

    fn count(&mut self, reads: u64) {
        self.reads += reads;
        assert!(self.reads <= READS_MAX, "this does not end");
    }
}

impl Memory for Image {
    fn means(&self) -> &'static str {
        "image"
    }

    fn refresh(&mut self) -> Result<(), MemoryError> {
        Ok(())
    }

    fn read(&mut self, requests: &[Request], answer: OnAnswer<'_>) -> Result<(), MemoryError> {
        self.count(requests.len() as u64);
        for (index, request) in requests.iter().enumerate() {
            let length = READ_MAX.min(request.length as usize);
            let bytes = self.at(request.address, length);
            let text =
                |bytes: &[u8]| bytes.iter().position(|byte| *byte == 0).unwrap_or(length.saturating_sub(1));
            answer(index, bytes.map(|bytes| if request.string == 0 { bytes } else { &bytes[..text(bytes)] }));
        }
        Ok(())
    }

    fn follow(&mut self, list: &mut List, entry: OnEntry<'_>) -> Result<ListEnd, MemoryError> {
        self.count(1);
        for _ in 0..LIST_STEPS {
            if list.node == list.head {
                return Ok(ListEnd::Head);
            }
            let Some(bytes) = self.at(list.node.wrapping_sub(list.back), ENTRY_WORDS * 8) else {
                return Ok(ListEnd::Torn);
            };
            let mut words = [0; ENTRY_WORDS];
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            let word = |index: u32| words[index as usize & (ENTRY_WORDS - 1)];
            if (word(list.mark) ^ list.value) & list.mask != 0 {
                return Ok(ListEnd::Torn);
            }
            entry(&words);
            list.node = word(list.next);
        }
        Ok(ListEnd::More)
    }

    fn block(&mut self, address: u64) -> Result<Option<&[u8]>, MemoryError> {
        self.count((BLOCK_BYTES / READ_MAX) as u64);
        self.block.clear();
        let mut block = std::mem::take(&mut self.block);
        for at in (0..BLOCK_BYTES).step_by(READ_MAX) {
            let Some(bytes) = self.at(address.wrapping_add(at as u64), READ_MAX) else { return Ok(None) };
            block.extend_from_slice(bytes);
        }
        self.block = block;
        Ok(Some(&self.block))
    }
}
