//! BTF of a different kernel: our own, with one member moved.

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const STRUCT: u32 = 4;

/// This kernel's type information.
pub fn own() -> Vec<u8> {
    std::fs::read(KERNEL_BTF).unwrap_or_else(|error| panic!("read {KERNEL_BTF}: {error}"))
}

/// The same with `member` of `owner` eight bytes later, as in a kernel with an additional pointer before it.
pub fn with_moved_member(owner: &str, member: &str) -> Vec<u8> {
    with_member_moved_by(8, owner, member)
}

/// The same with `member` of `owner` so many bytes later.
pub fn with_member_moved_by(bytes: u32, owner: &str, member: &str) -> Vec<u8> {
    let mut btf = own();
    // struct btf_header: magic, version, flags, then lengths and offsets behind the header.
    let [header, types, types_length, strings] = [4, 8, 12, 16].map(|at| word(&btf, at) as usize);
    let (mut at, end, strings) = (header + types, header + types + types_length, header + strings);
    while at < end {
        let (name, info) = (word(&btf, at), word(&btf, at + 4));
        let (kind, entries) = (info >> 24 & 0x1f, info as usize & 0xffff);
        at += 12;
        if kind == STRUCT && string(&btf, strings, name) == owner.as_bytes() {
            let members = (0..entries).map(|entry| at + 12 * entry);
            let found =
                members.into_iter().find(|&at| string(&btf, strings, word(&btf, at)) == member.as_bytes());
            if let Some(found) = found {
                let moved = word(&btf, found + 8) + 8 * bytes;
                btf[found + 8..found + 12].copy_from_slice(&moved.to_le_bytes());
                return btf;
            }
        }
        // Length of the data after the three words of a type, by kind (include/uapi/linux/btf.h).
        at += match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            STRUCT | 5 | 15 | 19 => 12 * entries,
            6 | 13 => 8 * entries,
            _ => 0,
        };
    }
    panic!("this kernel has no {owner}.{member}")
}

fn word(btf: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(btf[at..at + 4].try_into().expect("four bytes"))
}

fn string(btf: &[u8], strings: usize, name: u32) -> &[u8] {
    let rest = &btf[strings + name as usize..];
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}
