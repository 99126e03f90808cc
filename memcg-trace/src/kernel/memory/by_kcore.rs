//! The same through /proc/kcore, one read after the other.

use memcg_trace_common::{BLOCK_BYTES, ENTRY_WORDS, LIST_STEPS, List, ListEnd, READ_MAX, Request};

use super::{Memory, MemoryError, OnAnswer, OnEntry};
use crate::kernel::memory::kcore::{Kcore, Struct};

/// The opened file.
pub struct ByKcore {
    kcore: Kcore,
    block: Vec<u8>,
}

impl ByKcore {
    pub fn new(kcore: Kcore) -> Self {
        Self { kcore, block: Vec::new() }
    }
}

impl Memory for ByKcore {
    fn means(&self) -> &'static str {
        "kcore"
    }

    fn refresh(&mut self) -> Result<(), MemoryError> {
        Ok(self.kcore.refresh()?)
    }

    fn read(&mut self, requests: &[Request], answer: OnAnswer<'_>) -> Result<(), MemoryError> {
        for (index, request) in requests.iter().enumerate() {
            let length = READ_MAX.min(request.length as usize);
            let bytes = if request.string == 0 {
                self.kcore.read(request.address, length).map(|Struct(bytes)| bytes)
            } else {
                self.kcore.string(request.address, length.saturating_sub(1))
            };
            answer(index, bytes.as_deref());
        }
        Ok(())
    }

    fn follow(&mut self, list: &mut List, entry: OnEntry<'_>) -> Result<ListEnd, MemoryError> {
        for _ in 0..LIST_STEPS {
            if list.node == list.head {
                return Ok(ListEnd::Head);
            }
            let address = list.node.wrapping_sub(list.back);
            let read = self.kcore.read(address, size_of::<[u64; ENTRY_WORDS]>());
            let words = read.and_then(|read| read.get::<[u64; ENTRY_WORDS]>(0));
            let word = |words: &[u64; ENTRY_WORDS], index: u32| words[index as usize & (ENTRY_WORDS - 1)];
            match words {
                Some(words) if (word(&words, list.mark) ^ list.value) & list.mask == 0 => {
                    entry(&words);
                    list.node = word(&words, list.next);
                }
                _ => return Ok(ListEnd::Torn),
            }
        }
        Ok(ListEnd::More)
    }

    fn block(&mut self, address: u64) -> Result<Option<&[u8]>, MemoryError> {
        let Some(Struct(bytes)) = self.kcore.read(address, BLOCK_BYTES) else { return Ok(None) };
        self.block = bytes;
        Ok(Some(&self.block))
    }
}
