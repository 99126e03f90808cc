//! Looks up the members of a kernel's structs in its BTF (Documentation/bpf/btf.rst, include/uapi/linux/btf.h).
//!
//! A kernel has some 130,000 types, of which about a hundred are asked for. So the types stay the bytes they are: one pass
//! finds where each begins, and which structs, enums and sections have which name.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use thiserror::Error;

/// More typedefs, qualifiers and anonymous structs, one in the other, than any type has. A file may contain anything,
/// circles as well.
const NESTING_MAX: usize = 32;
/// More members than any lookup passes in a kernel: those of anonymous structs that contain each other twice are too many to count.
const MEMBERS_MAX: u32 = 1 << 13;

/// Words of `struct btf_type`: name, info, size or type.
const TYPE_BYTES: usize = 12;

/// The reason why bytes are no BTF.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    #[error("it is cut short")]
    Short,
    #[error("it has types of kind {0}, which this version does not know")]
    Kind(u32),
}

/// `BTF_KIND_*`.
mod kind {
    pub const INT: u32 = 1;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// The BTF of a kernel.
pub struct Btf {
    bytes: Vec<u8>,
    /// Where each type begins in `bytes`, by its number less one.
    types: Vec<u32>,
    /// Structs, enums and sections by the hash of their name, sorted.
    named: Vec<(u64, u32)>,
    /// Where the names are in `bytes`.
    names: usize,
}

/// A `struct btf_type`: where it is, its kind, and how many members, values or variables it has.
#[derive(Clone, Copy)]
struct Type {
    at: usize,
    kind: u32,
    entries: usize,
}

impl Type {
    /// Bytes of one entry behind the type.
    fn entry_bytes(self) -> usize {
        match self.kind {
            kind::ENUM | kind::FUNC_PROTO => 8,
            _ => 12,
        }
    }

    /// Bytes of all that is behind the type.
    fn behind(self) -> Result<usize, BtfError> {
        Ok(match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::ENUM | kind::FUNC_PROTO | kind::DATASEC | kind::ENUM64 => {
                self.entries * self.entry_bytes()
            }
            0..=kind::ENUM64 => 0,
            unknown => return Err(BtfError::Kind(unknown)),
        })
    }

    /// Where each entry is.
    fn entries(self) -> impl Iterator<Item = usize> {
        let first = self.at + TYPE_BYTES;
        (0..self.entries).map(move |entry| first + entry * self.entry_bytes())
    }
}

impl Btf {
    /// Of the bytes of /sys/kernel/btf/vmlinux or of a section .BTF, which begin with the magic number.
    pub fn of(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let mut btf = Self { bytes, types: Vec::new(), named: Vec::new(), names: 0 };
        // struct btf_header: magic, version, flags, its own length; then offsets and lengths behind it.
        let header = |at| btf.word(at).map(|word| word as usize).ok_or(BtfError::Short);
        let (length, first, types, names) = (header(4)?, header(8)?, header(12)?, header(16)?);
        let mut at = length.saturating_add(first);
        let end = at.saturating_add(types);
        btf.names = length.saturating_add(names);
        while at < end {
            let ty = btf.at(at).ok_or(BtfError::Short)?;
            btf.types.push(at as u32);
            if [kind::STRUCT, kind::ENUM, kind::ENUM64, kind::DATASEC].contains(&ty.kind) {
                let name = btf.name(at).ok_or(BtfError::Short)?;
                btf.named.push((hash(name), btf.types.len() as u32));
            }
            at += TYPE_BYTES + ty.behind()?;
        }
        btf.named.sort_unstable();
        if at > btf.bytes.len() { Err(BtfError::Short) } else { Ok(btf) }
    }

    /// Byte offset of a dotted member path, through typedefs and anonymous structs and unions.
    pub fn offset(&self, name: &str, member: &str) -> Option<u32> {
        let mut left = MEMBERS_MAX;
        self.structs(name).find_map(|ty| self.member(ty, member, 0, &mut left))
    }

    /// Bytes of a struct.
    pub fn size(&self, name: &str) -> Option<u32> {
        self.word(self.structs(name).next()?.at + 8)
    }

    /// Length of a member that is an array; of an array of arrays, how many elements it has in all.
    pub fn array_length(&self, name: &str, member: &str) -> Option<usize> {
        self.structs(name).find_map(|ty| {
            let named = |&at: &usize| self.name(at) == Some(member.as_bytes());
            let mut ty = self.target(ty.entries().find(named)? + 4)?;
            let mut length = None;
            for _ in 0..NESTING_MAX {
                if ty.kind != kind::ARRAY {
                    break;
                }
                // struct btf_array: type, type of the index, number of elements.
                let elements = self.word(ty.at + TYPE_BYTES + 8)? as usize;
                length = Some(elements.saturating_mul(length.unwrap_or(1)));
                ty = self.target(ty.at + TYPE_BYTES)?;
            }
            length
        })
    }

    /// Value of an enumerator; of one with 64 bits, the lower half.
    pub fn enum_value(&self, name: &str, value: &str) -> Option<u32> {
        let enums = self.named(name).filter(|ty| [kind::ENUM, kind::ENUM64].contains(&ty.kind));
        let mut values = enums.flat_map(Type::entries);
        self.word(values.find(|&at| self.name(at) == Some(value.as_bytes()))? + 4)
    }

    /// Where a per-CPU variable is among all of them (pahole 1.22 put them into BTF).
    pub fn per_cpu(&self, name: &str) -> Option<u32> {
        let sections = self.named(".data..percpu").filter(|ty| ty.kind == kind::DATASEC);
        let mut variables = sections.flat_map(Type::entries);
        // struct btf_var_secinfo: type, offset, size.
        self.word(variables.find(|&at| self.variable(at) == Some(name.as_bytes()))? + 4)
    }

    fn variable(&self, section_entry: usize) -> Option<&[u8]> {
        self.name(self.numbered(self.word(section_entry)?)?.at)
    }

    /// `left`: members that may still be passed.
    fn member(&self, ty: Type, path: &str, depth: usize, left: &mut u32) -> Option<u32> {
        if ![kind::STRUCT, kind::UNION].contains(&ty.kind) || depth == NESTING_MAX {
            return None;
        }
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let bitfields = self.word(ty.at + 4)? >> 31 == 1;
        // struct btf_member: name, type, offset in bits; where there are bit fields, below the size of the field.
        ty.entries().find_map(|at| {
            *left = left.checked_sub(1)?;
            let bits = self.word(at + 8)?;
            let offset = if bitfields { bits & 0xff_ffff } else { bits } / u8::BITS;
            let inner = match (self.name(at)?, rest) {
                (b"", _) => self.member(self.target(at + 4)?, path, depth + 1, left)?,
                (name, None) if name == first.as_bytes() => 0,
                (name, Some(rest)) if name == first.as_bytes() => {
                    self.member(self.target(at + 4)?, rest, depth + 1, left)?
                }
                _ => return None,
            };
            offset.checked_add(inner)
        })
    }

    /// The type whose number is at `at`, without typedefs and qualifiers.
    fn target(&self, at: usize) -> Option<Type> {
        let mut ty = self.numbered(self.word(at)?)?;
        for _ in 0..NESTING_MAX {
            match ty.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    ty = self.numbered(self.word(ty.at + 8)?)?;
                }
                _ => return Some(ty),
            }
        }
        None
    }

    fn structs(&self, name: &str) -> impl Iterator<Item = Type> {
        self.named(name).filter(|ty| ty.kind == kind::STRUCT)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = Type> {
        let hash = hash(name.as_bytes());
        let first = self.named.partition_point(|(other, _)| *other < hash);
        let same = self.named[first..].iter().take_while(move |(other, _)| *other == hash);
        let types = same.filter_map(|(_, number)| self.numbered(*number));
        types.filter(move |ty| self.name(ty.at) == Some(name.as_bytes()))
    }

    /// 0 is void, which nobody asks for.
    fn numbered(&self, number: u32) -> Option<Type> {
        self.at(*self.types.get((number as usize).checked_sub(1)?)? as usize)
    }

    fn at(&self, at: usize) -> Option<Type> {
        let info = self.word(at + 4)?;
        self.word(at + 8)?;
        // Up to 7.0 there were 16 bits for the number and 5 for the kind, and those beside them were 0.
        Some(Type { at, kind: info >> 24 & 0x7f, entries: info as usize & 0xff_ffff })
    }

    /// The name whose offset among the names is at `at`.
    fn name(&self, at: usize) -> Option<&[u8]> {
        let name = self.bytes.get(self.names.checked_add(self.word(at)? as usize)?..)?;
        Some(&name[..name.iter().position(|&byte| byte == 0)?])
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types, which are numbered from 1, and names, the first of which is empty.
    struct Made {
        types: Vec<u32>,
        names: Vec<u8>,
    }

    impl Made {
        fn name(&mut self, name: &str) -> u32 {
            let at = self.names.len() as u32;
            self.names.extend(name.bytes().chain([0]));
            at
        }

        /// `behind`: three words an entry, the first of which is a name.
        fn entries(&mut self, name: &str, kind: u32, size: u32, behind: &[(&str, &[u32])]) {
            let name = self.name(name);
            self.types.extend([name, kind << 24 | behind.len() as u32, size]);
            for (name, words) in behind {
                let name = self.name(name);
                self.types.extend([&[name], *words].concat());
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let types = self.types.len() as u32 * 4;
            let header = [0x0001_eb9f, 24, 0, types, types, self.names.len() as u32];
            let words = header.iter().chain(&self.types).flat_map(|word| word.to_le_bytes());
            words.chain(self.names.iter().copied()).collect()
        }
    }

    /// 1: unsigned int, 2: u32, 3: const u32, 4: u32[2][3], 5: an anonymous union, 6: `struct css`, 7: a circle.
    fn made() -> Vec<u8> {
        let mut made = Made { types: Vec::new(), names: vec![0] };
        let (int, alias) = (made.name("unsigned int"), made.name("u32"));
        made.types.extend([int, kind::INT << 24, 4, 32]);
        made.types.extend([alias, kind::TYPEDEF << 24, 1]);
        made.types.extend([0, kind::CONST << 24, 2]);
        made.types.extend([0, kind::ARRAY << 24, 0, 8, 1, 2]);
        made.entries("", kind::UNION, 8, &[("id", &[3, 0]), ("slots", &[4, 32])]);
        made.entries("css", kind::STRUCT, 40, &[("flags", &[1, 64]), ("", &[5, 128]), ("slots", &[4, 96])]);
        made.entries("circle", kind::STRUCT, 4, &[("", &[7, 0])]);
        made.entries("id", kind::ENUM, 4, &[("cpu", &[0]), ("memory", &[4])]);
        // An array whose elements are arrays.
        made.types.extend([0, kind::ARRAY << 24, 0, 4, 1, 3]);
        made.entries("outer", kind::STRUCT, 48, &[("css", &[6, 64]), ("table", &[9, 256])]);
        let variable = made.name("memcg_stock");
        made.types.extend([variable, kind::VAR << 24, 2, 0]);
        let section = made.name(".data..percpu");
        made.types.extend([section, kind::DATASEC << 24 | 1, 0, 11, 0x140, 8]);
        // Bit fields: the size of the field is above the offset.
        let (flags, field) = (made.name("fields"), made.name("field"));
        made.types.extend([flags, 1 << 31 | kind::STRUCT << 24 | 1, 4, field, 1, 3 << 24 | 16]);
        made.bytes()
    }

    #[test]
    fn what_is_asked_for_is_found() {
        let btf = Btf::of(made()).expect("BTF");
        let offset = |name, member| btf.offset(name, member);
        assert_eq!(offset("css", "flags"), Some(8));
        assert_eq!(offset("css", "id"), Some(16));
        assert_eq!(offset("outer", "css.id"), Some(24));
        assert_eq!(offset("fields", "field"), Some(2));
        assert_eq!([offset("css", "none"), offset("none", "id"), offset("css", "flags.id")], [None; 3]);
        assert_eq!(offset("circle", "id"), None);
        assert_eq!(btf.array_length("css", "slots"), Some(2));
        assert_eq!(btf.array_length("outer", "table"), Some(6));
        assert_eq!([btf.enum_value("id", "memory"), btf.enum_value("id", "pids")], [Some(4), None]);
        assert_eq!([btf.size("outer"), btf.size("id")], [Some(48), None]);
        assert_eq!([btf.per_cpu("memcg_stock"), btf.per_cpu("css")], [Some(0x140), None]);
    }

    /// By this `mem_cgroup.vmstats` is known for a struct (up to 6.0) or a pointer.
    #[test]
    fn nothing_is_found_behind_a_pointer() {
        const PTR: u32 = 2;

        let mut made = Made { types: Vec::new(), names: vec![0] };
        let long = made.name("long");
        made.types.extend([long, kind::INT << 24, 8, 64]);
        made.entries("stats", kind::STRUCT, 16, &[("state", &[1, 64])]);
        made.types.extend([0, PTR << 24, 2]);
        made.entries("around", kind::STRUCT, 24, &[("stats", &[2, 64])]);
        made.entries("before", kind::STRUCT, 16, &[("stats", &[3, 64])]);
        let btf = Btf::of(made.bytes()).expect("BTF");
        let offsets = ["around", "before"].map(|name| btf.offset(name, "stats.state"));
        assert_eq!(offsets, [Some(16), None]);
        assert_eq!(btf.offset("before", "stats"), Some(8));
    }

    /// 2 to the power of 32 members, if it were followed to the end.
    #[test]
    fn what_contains_itself_twice_is_given_up() {
        let mut made = Made { types: Vec::new(), names: vec![0] };
        made.entries("twins", kind::STRUCT, 4, &[("", &[1, 0]), ("", &[1, 0]), ("id", &[1, 8])]);
        let btf = Btf::of(made.bytes()).expect("BTF");
        assert_eq!([btf.offset("twins", "none"), btf.offset("twins", "id")], [None, Some(1)]);
    }

    #[test]
    fn what_is_cut_or_damaged_is_told_or_absent() {
        let whole = made();
        let types_end = 24 + u32::from_le_bytes(whole[12..16].try_into().expect("a word")) as usize;
        for length in 0..types_end {
            assert_eq!(Btf::of(whole[..length].to_vec()).err(), Some(BtfError::Short), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Ok(btf) = Btf::of(damaged) {
                let _ = (btf.offset("outer", "css.id"), btf.array_length("outer", "table"), btf.size("css"));
                let _ = (btf.enum_value("id", "memory"), btf.per_cpu("memcg_stock"));
            }
        }
        let mut unknown = whole;
        unknown[24 + 7] = 99;
        assert_eq!(Btf::of(unknown).err(), Some(BtfError::Kind(99)));
    }
}
