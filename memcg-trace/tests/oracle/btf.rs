//! A minimal BTF parser for offsets of members (Documentation/bpf/btf.rst).

use std::fs;

pub struct Btf {
    bytes: Vec<u8>,
    /// Offsets of types, which are numbered from 1.
    types: Vec<usize>,
    strings: usize,
}

const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// typedef, volatile, const: refer to another type.
const ALIASES: [u32; 3] = [8, 9, 10];

impl Btf {
    pub fn of_kernel() -> Self {
        let bytes = fs::read("/sys/kernel/btf/vmlinux").expect("/sys/kernel/btf/vmlinux");
        let mut btf = Self { bytes, types: vec![0], strings: 0 };
        let header = btf.word(4) as usize;
        let (mut at, end) = (header + btf.word(8) as usize, header + (btf.word(8) + btf.word(12)) as usize);
        btf.strings = header + btf.word(16) as usize;
        while at < end {
            btf.types.push(at);
            let entries = btf.entries(at);
            at += 12
                + match btf.kind(at) {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    STRUCT | UNION | 15 | 19 => 12 * entries,
                    6 | 13 => 8 * entries,
                    _ => 0,
                };
        }
        btf
    }

    /// Byte offset of a member of a struct, possibly nested.
    pub fn offset(&self, owner: &str, path: &str) -> u64 {
        let named = |at: &&usize| self.kind(**at) == STRUCT && self.name(**at) == owner.as_bytes();
        let found = self.types[1..].iter().find(named);
        let bits = found.and_then(|at| self.bits(*at, path));
        bits.unwrap_or_else(|| panic!("no {owner}.{path}")) / 8
    }

    fn bits(&self, owner: usize, path: &str) -> Option<u64> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        (0..self.entries(owner)).find_map(|entry| {
            let member = owner + 12 + 12 * entry;
            // With bit fields in the struct, the upper byte is the member's width.
            let mask = if self.word(owner + 4) >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
            let start = u64::from(self.word(member + 8) & mask);
            match self.name(member) {
                b"" => Some(start + self.bits(self.target(member)?, path)?),
                name if name != first.as_bytes() => None,
                _ if rest.is_empty() => Some(start),
                _ => Some(start + self.bits(self.target(member)?, rest)?),
            }
        })
    }

    /// The struct or union that a member is.
    fn target(&self, member: usize) -> Option<usize> {
        let mut at = self.types[self.word(member + 4) as usize];
        while ALIASES.contains(&self.kind(at)) {
            at = self.types[self.word(at + 8) as usize];
        }
        [STRUCT, UNION].contains(&self.kind(at)).then_some(at)
    }

    fn kind(&self, at: usize) -> u32 {
        self.word(at + 4) >> 24 & 0x1f
    }

    fn entries(&self, at: usize) -> usize {
        self.word(at + 4) as usize & 0xffff
    }

    fn name(&self, at: usize) -> &[u8] {
        let rest = &self.bytes[self.strings + self.word(at) as usize..];
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }
}
