//! The place of each counter in a packed array, by the kernel's index of it: where a symbol says, or else where it is found.
//!
//! Without CONFIG_KALLSYMS_ALL the kernel lists its functions alone. Its data lies behind them, and the index is known by what
//! it is: a byte for each item, of which each place of the array is there exactly once and all others are none. Some 45 of
//! 60 bytes have to be a permutation; nothing else is. It is used only if it is found once.

use memcg_trace_common::{BYTES_MAX, KINDS, Kind};

use super::vmstats::{CountersError, INDEX, KernelBytes, Packed};
use crate::kernel::memory::symbols::{SymbolError, symbol};

/// Compilers align arrays of this size to it at least. Others like it, of none and nothing else at their border, do not count.
const ALIGNED: u64 = 8;
/// Behind the code that is thrown away after boot: where arm64 has its data.
const BEHIND_INIT: u64 = 32 << 20;

impl Packed {
    /// Byte offsets of the counters, from the running kernel's index.
    pub fn offsets(&self) -> Result<[u32; KINDS], CountersError> {
        let address = match symbol(INDEX) {
            Err(SymbolError::Absent(_)) => return find(self),
            address => address?,
        };
        let bytes = KernelBytes::load()?.bytes_at(address)?;
        let index = bytes.get(..self.all).ok_or(CountersError::Foreign)?;
        self.offsets_by(index).ok_or(CountersError::Foreign)
    }
}

/// Byte offsets of the counters, by an index that is looked for.
fn find(packed: &Packed) -> Result<[u32; KINDS], CountersError> {
    let (code_end, init) = (symbol("_etext")?, symbol("_sinittext")?);
    let mut reader = KernelBytes::load()?;
    let mut read = |address| reader.bytes_at(address).ok();
    if let Some(found) = search(packed, code_end, init, &mut read)? {
        return Ok(found);
    }
    let init_end = symbol("_einittext")?;
    let found = search(packed, init_end, init_end.saturating_add(BEHIND_INIT), &mut read)?;
    found.ok_or(CountersError::Symbol(SymbolError::Absent(INDEX)))
}

/// `read` gives [`BYTES_MAX`] bytes at an address, if it is mapped.
fn search(
    packed: &Packed,
    start: u64,
    end: u64,
    mut read: impl FnMut(u64) -> Option<[u8; BYTES_MAX]>,
) -> Result<Option<[u32; KINDS]>, CountersError> {
    let mut found = None;
    let mut bytes = Vec::new();
    let mut address = start;
    while address < end {
        match read(address) {
            Some(more) => bytes.extend_from_slice(&more),
            None => bytes.clear(),
        }
        address = address.saturating_add(BYTES_MAX as u64);
        let first = address - bytes.len() as u64;
        for (at, index) in (first..).zip(bytes.windows(packed.all)) {
            if at % ALIGNED != 0 || !packed.tells_apart(index) {
                continue;
            }
            let Some(offsets) = packed.offsets_by(index) else { continue };
            if let Some((other, _)) = found.replace((at, offsets)) {
                return Err(CountersError::Ambiguous(other, at));
            }
        }
        // An index may lie across the border.
        let kept = bytes.len().min(packed.all - 1);
        bytes.drain(..bytes.len() - kept);
    }
    Ok(found.map(|(_, offsets)| offsets))
}

impl Packed {
    /// What most of the kernel's data does not: three items have three places. It costs next to nothing.
    fn tells_apart(&self, index: &[u8]) -> bool {
        let place = |kind: Kind| index.get(self.items[kind as usize] as usize);
        let [file, anon, shmem] = [Kind::File, Kind::Anon, Kind::Shmem].map(place);
        file != anon && anon != shmem && file != shmem
    }
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::ABSENT;

    use super::*;

    const NONE: u8 = u8::MAX;
    const INDEX: [u8; 10] = [NONE, NONE, 0, NONE, 3, 2, NONE, 1, NONE, NONE];
    const START: u64 = 0x1000;

    /// Ten items, of which the array has four.
    fn packed() -> Packed {
        let mut items = [ABSENT; KINDS];
        [items[Kind::File as usize], items[Kind::Anon as usize], items[Kind::Shmem as usize]] = [2, 5, 7];
        Packed { items, all: 10, kept: 4 }
    }

    /// A kernel with zeros in it, and the index at these places.
    fn looked_for(at: &[usize], unmapped: Option<u64>) -> Result<Option<u32>, CountersError> {
        let mut memory = vec![0; 8 * BYTES_MAX];
        for &at in at {
            memory[at..at + INDEX.len()].copy_from_slice(&INDEX);
        }
        let read = |address: u64| {
            let at = usize::try_from(address - START).ok()?;
            let bytes = memory.get(at..at + BYTES_MAX).filter(|_| Some(address) != unmapped)?;
            bytes.try_into().ok()
        };
        let end = START + memory.len() as u64;
        let found = search(&packed(), START, end, read)?;
        Ok(found.map(|offsets| offsets[Kind::Anon as usize]))
    }

    #[test]
    fn it_is_found_wherever_it_lies() {
        for at in [0, 8, 96, BYTES_MAX - 16, BYTES_MAX - 8, BYTES_MAX, 8 * BYTES_MAX - 16] {
            assert_eq!(looked_for(&[at], None).expect("found once"), Some(2 * 8), "at {at}");
        }
    }

    #[test]
    fn what_is_not_there_once_is_not_used() {
        assert_eq!(looked_for(&[], None).expect("no error"), None);
        assert_eq!(looked_for(&[17], None).expect("no error"), None, "no array begins there");
        assert!(matches!(looked_for(&[16, 1_000], None), Err(CountersError::Ambiguous(..))));
        // The half of it that can be read is none.
        assert_eq!(looked_for(&[BYTES_MAX - 8], Some(START)).expect("no error"), None);
    }
}
