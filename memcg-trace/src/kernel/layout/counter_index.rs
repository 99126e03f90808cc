//! The place of each counter in a packed array, by the kernel's index of it: where a symbol says, or else where it is found.
//!
//! Without CONFIG_KALLSYMS_ALL the kernel lists its functions alone. Its data lies behind them, and the index is known by what
//! it is: a byte for each item, of which each place of the array is there exactly once and all others are none. Some 45 of
//! 60 bytes have to be a permutation; nothing else is. It is used only if it is found once.

use memcg_trace_common::{BLOCK_BYTES, KINDS, Kind, READ_MAX, Request};

use super::vmstats::{CountersError, INDEX, Packed};
use crate::kernel::memory::{
    self, Members, Memory,
    symbols::{SymbolError, symbol},
};

/// Compilers align arrays of this size to it at least. Others like it, of none and nothing else at their border, do not count.
const ALIGNED: u64 = 8;
/// Behind the code that is thrown away after boot: where arm64 has its data.
const BEHIND_INIT: u64 = 32 << 20;

impl Packed {
    /// Byte offsets of the counters, from the running kernel's index.
    pub fn offsets(&self) -> Result<[u32; KINDS], CountersError> {
        let address = symbol(INDEX);
        let mut memory = memory::open()?;
        let address = match address {
            Err(SymbolError::Absent(_)) => return find(self, &mut *memory),
            address => address?,
        };
        let index = memory.rows(&[address], &Members::default().with(0, self.all as u32))?;
        let index = index.bytes(0, 0, self.all).ok_or(CountersError::Unreadable(address))?;
        self.offsets_by(index).ok_or(CountersError::Foreign)
    }
}

/// Byte offsets of the counters, by an index that is looked for.
fn find(packed: &Packed, memory: &mut dyn Memory) -> Result<[u32; KINDS], CountersError> {
    let (code_end, init, init_end) = (symbol("_etext")?, symbol("_sinittext")?, symbol("_einittext")?);
    for (start, end) in [(code_end, init), (init_end, init_end.saturating_add(BEHIND_INIT))] {
        if let Some(found) = search(packed, memory, start, end)? {
            return Ok(found);
        }
    }
    Err(CountersError::Symbol(SymbolError::Absent(INDEX)))
}

/// Looks from `start` to `end`, and to the end of the last block.
fn search(
    packed: &Packed,
    memory: &mut dyn Memory,
    start: u64,
    end: u64,
) -> Result<Option<[u32; KINDS]>, CountersError> {
    let mut search = Search { packed, bytes: Vec::new(), found: Vec::new() };
    for address in (start..end).step_by(BLOCK_BYTES) {
        if let Some(block) = memory.block(address)? {
            search.extend(address, block);
            continue;
        }
        // Some of it can be read, perhaps.
        let pieces = (address..address.saturating_add(BLOCK_BYTES as u64)).step_by(READ_MAX);
        let pieces = pieces.map(|address| Request { address, length: READ_MAX as u32, string: 0 });
        let pieces: Vec<Request> = pieces.collect();
        memory.read(&pieces, &mut |piece, bytes| match bytes {
            Some(bytes) => search.extend(pieces[piece].address, bytes),
            None => search.bytes.clear(),
        })?;
    }
    match search.found[..] {
        [] => Ok(None),
        [(_, offsets)] => Ok(Some(offsets)),
        [(one, _), (other, _), ..] => Err(CountersError::Ambiguous(one, other)),
    }
}

struct Search<'a> {
    packed: &'a Packed,
    /// What was read last, without a gap.
    bytes: Vec<u8>,
    /// Where an index is, and the offsets by it.
    found: Vec<(u64, [u32; KINDS])>,
}

impl Search<'_> {
    /// Looks at what follows.
    fn extend(&mut self, address: u64, more: &[u8]) {
        let first = address - self.bytes.len() as u64;
        self.bytes.extend_from_slice(more);
        let aligned = (first.next_multiple_of(ALIGNED) - first) as usize;
        let places = self.bytes.get(aligned..).into_iter().flat_map(|bytes| self.packed.candidates(bytes));
        for from in places.map(|at| aligned + at) {
            let index = self.bytes.get(from..from + self.packed.all);
            if let Some(offsets) = index.and_then(|index| self.packed.offsets_by(index)) {
                self.found.push((first + from as u64, offsets));
            }
        }
        // An index may lie across the border.
        let kept = self.bytes.len().min(self.packed.all - 1);
        self.bytes.drain(..self.bytes.len() - kept);
    }
}

impl Packed {
    /// Where an index may begin: three items have three places, each of them in the array, or none. Most of the kernel's data is
    /// not like that, which costs next to nothing to see.
    fn candidates(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let of = |kind: Kind| {
            let item = self.items[kind as usize] as usize;
            bytes.get(item..).unwrap_or_default().iter().copied().step_by(ALIGNED as usize)
        };
        let last = u8::try_from(self.kept).unwrap_or(u8::MAX);
        let is_place = move |place| place <= last || place == u8::MAX;
        let places = of(Kind::File).zip(of(Kind::Anon)).zip(of(Kind::Shmem)).enumerate();
        places.filter_map(move |(at, ((file, anon), shmem))| {
            let differ = file != anon && anon != shmem && file != shmem;
            let fits = differ && is_place(file) && is_place(anon) && is_place(shmem);
            fits.then_some(at * ALIGNED as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use memcg_trace_common::ABSENT;
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;
    use crate::kernel::memory::{ByKcore, kcore::Kcore};

    const NONE: u8 = u8::MAX;
    const INDEX: [u8; 10] = [NONE, NONE, 0, NONE, 3, 2, NONE, 1, NONE, NONE];
    const START: u64 = 0xffff_ffff_8280_0000;
    const READABLE: usize = 4 * READ_MAX;

    /// Ten items, of which the array has four.
    fn packed() -> Packed {
        let mut items = [ABSENT; KINDS];
        [items[Kind::File as usize], items[Kind::Anon as usize], items[Kind::Shmem as usize]] = [2, 5, 7];
        Packed { items, all: 10, kept: 4 }
    }

    /// A kernel of two blocks with zeros in them, and the index at these places; the second ends in what cannot be read.
    fn looked_for(at: &[usize]) -> Result<Option<u32>, CountersError> {
        let mut bytes = vec![0; BLOCK_BYTES + READABLE];
        for &at in at {
            let end = bytes.len().min(at + INDEX.len());
            bytes[at..end].copy_from_slice(&INDEX[..end - at]);
        }
        let mut file = File::from(memfd_create(c"memory", MFdFlags::empty()).expect("a file in memory"));
        file.write_all(&bytes).expect("room");
        let end = START + 2 * BLOCK_BYTES as u64;
        let mut memory = ByKcore::new(Kcore::of(file, START..START + bytes.len() as u64));
        let found = search(&packed(), &mut memory, START, end)?;
        Ok(found.map(|offsets| offsets[Kind::Anon as usize]))
    }

    #[test]
    fn it_is_found_wherever_it_lies() {
        let end = BLOCK_BYTES + READABLE;
        for at in
            [0, 8, 96, BLOCK_BYTES - 16, BLOCK_BYTES - 8, BLOCK_BYTES, BLOCK_BYTES + READ_MAX - 8, end - 16]
        {
            assert_eq!(looked_for(&[at]).expect("found once"), Some(2 * 8), "at {at}");
        }
    }

    #[test]
    fn what_is_not_there_once_is_not_used() {
        assert_eq!(looked_for(&[]).expect("no error"), None);
        assert_eq!(looked_for(&[17]).expect("no error"), None, "no array begins there");
        assert!(matches!(looked_for(&[16, 1_000]), Err(CountersError::Ambiguous(..))));
        // The half of it that can be read is none.
        assert_eq!(looked_for(&[BLOCK_BYTES + READABLE - 8]).expect("no error"), None);
    }
}
