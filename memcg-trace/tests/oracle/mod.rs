//! An independent oracle: finds every memcg of the kernel in a different way than memcg-trace.
//!
//! It starts at the symbol `root_mem_cgroup`, traverses the lists `children` and `sibling` depth first, and parses ELF
//! headers, symbols and types itself, without code of memcg-trace or its libraries. Only for an idle machine: memory
//! must not change meanwhile.

mod btf;

use std::{collections::BTreeSet, fs, fs::File, os::unix::fs::FileExt as _};

use self::btf::Btf;

/// Identity and state of a memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memcg {
    pub css: u64,
    pub serial: u64,
    pub flags: u32,
    pub id: u32,
}

/// More than can exist; the lists are circular.
const LIMIT: usize = 1 << 20;

/// All memcgs, including the root.
pub fn memcgs() -> BTreeSet<Memcg> {
    let btf = Btf::of_kernel();
    let css = |member| btf.offset("cgroup_subsys_state", member);
    let (children, sibling) = (css("children"), css("sibling"));
    let (serial, flags, id) = (css("serial_nr"), css("flags"), btf.offset("mem_cgroup", "id.id"));

    let kernel = Kernel::open();
    let mut memcgs = BTreeSet::new();
    let mut pending = vec![kernel.word(symbol("root_mem_cgroup"))];
    while let Some(css) = pending.pop() {
        let fresh = memcgs.insert(Memcg {
            css,
            serial: kernel.word(css + serial),
            flags: kernel.half(css + flags),
            id: kernel.half(css + id),
        });
        assert!(fresh && memcgs.len() < LIMIT, "the css at {css:#x} is in two lists");
        // A list ends where it began.
        let head = css + children;
        let mut link = kernel.word(head);
        while link != head {
            pending.push(link - sibling);
            assert!(pending.len() < LIMIT, "the children of the css at {css:#x} do not end");
            link = kernel.word(link);
        }
    }
    memcgs
}

fn symbol(name: &str) -> u64 {
    let symbols = fs::read_to_string("/proc/kallsyms").expect("/proc/kallsyms");
    let line = symbols.lines().find(|line| line.split(' ').nth(2) == Some(name));
    let line = line.unwrap_or_else(|| panic!("no symbol {name}"));
    u64::from_str_radix(line.split(' ').next().unwrap_or_default(), 16).expect("an address")
}

/// /proc/kcore: memory by address.
struct Kernel {
    file: File,
    /// Address, length and place in the file.
    segments: Vec<[u64; 3]>,
}

impl Kernel {
    fn open() -> Self {
        let file = File::open("/proc/kcore").expect("/proc/kcore");
        let word = |at| u64::from_le_bytes(bytes(&file, at));
        let half = |at| u32::from_le_bytes(bytes(&file, at));
        assert_eq!(half(0), u32::from_le_bytes(*b"\x7fELF"));
        // Elf64_Ehdr: e_phoff at 32, e_phnum at 56. Elf64_Phdr: p_type, p_offset at 8, p_vaddr at 16, p_memsz at 40.
        let headers = (0..u64::from(half(56) & 0xffff)).map(|number| word(32) + 56 * number);
        let loaded = headers.filter(|header| half(*header) == 1);
        let segments = loaded.map(|header| [16, 40, 8].map(|member| word(header + member))).collect();
        Self { file, segments }
    }

    fn word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }

    fn half(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address))
    }

    fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let within = |[start, length, _]: &&[u64; 3]| address >= *start && address - start < *length;
        let segment = self.segments.iter().find(within);
        let [start, _, place] = segment.unwrap_or_else(|| panic!("no memory at {address:#x}"));
        bytes(&self.file, place + (address - start))
    }
}

fn bytes<const N: usize>(file: &File, at: u64) -> [u8; N] {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).unwrap_or_else(|error| panic!("read /proc/kcore at {at:#x}: {error}"));
    bytes
}
