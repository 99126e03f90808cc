use super::*;
use crate::{
    cause::{Explanation, Folios, Pin},
    kernel::memory::kcore::Struct,
};

const ROOT: u64 = 0xffff_8800_0000_0000;
const HOME: u64 = ROOT + 0x1000;
const CHILD: u64 = ROOT + 0x2000;
const NO_LIMIT: u64 = 0x7_ffff_ffff_ffff;
/// Where tcp_mem is in one of two builds.
const TCP_MEM: usize = 616;
const ACTIVE: u64 = 1;
const ACTIVE_AND_DEAD: u64 = 3;

/// Bytes of a memcg as 3.10 has them: removed, css_free came, one reference.
struct Bytes {
    memcg: u64,
    bytes: Vec<u8>,
}

impl Bytes {
    fn of(memcg: u64) -> Self {
        let mut this = Self { memcg, bytes: vec![0; 832] };
        for counter in [72, 264, 304] {
            this.put(counter + 8, NO_LIMIT);
        }
        this.put(8, i32::MIN as u32);
        this.refs(1);
        if memcg != ROOT {
            this.put(TCP_MEM + 8, memcg + TCP_MEM as u64 + 56);
            this.put(TCP_MEM + 48, memcg);
        }
        this
    }

    fn put<T: zerocopy::IntoBytes + zerocopy::Immutable>(&mut self, at: usize, value: T) -> &mut Self {
        let bytes = value.as_bytes();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn refs(&mut self, refs: u32) -> &mut Self {
        self.put(372, refs)
    }

    /// What is charged to the three counters.
    fn pages(&mut self, memory: u64, memsw: u64, kmem: u64) -> &mut Self {
        self.put(72, memory).put(264, memsw).put(304, kmem)
    }

    fn kmem_flags(&mut self, flags: u64) -> &mut Self {
        self.put(352, flags)
    }

    fn below(&mut self, parent: u64) -> &mut Self {
        self.put(72 + 16, parent + 72)
    }

    /// css_free did not come.
    fn css_stays(&mut self) -> &mut Self {
        self.put(TCP_MEM + 112, 0x7f00_u64)
    }

    fn sockets_have_a_limit(&mut self) -> &mut Self {
        self.put(TCP_MEM + 40, 3_u64)
    }

    fn found(&self) -> FoundMemcg {
        let members = MemcgMembers::of(self.memcg, &Struct(self.bytes.clone()));
        let id = ((self.memcg - ROOT) / 0x1000 + 1) as u16;
        FoundMemcg { css: self.memcg, id, dying: self.memcg != ROOT, name: None, members }
    }
}

/// What is found to refer to the memcg at HOME, and whether it sums up.
fn explained(others: &[&Bytes], home: &Bytes, caches: &[&str]) -> (Vec<(Pin, u64)>, Option<u64>) {
    let all: Vec<FoundMemcg> = others.iter().copied().chain([home]).map(Bytes::found).collect();
    let names = CacheNames::from([(HOME, caches.iter().map(|name| name.as_bytes().into()).collect())]);
    let found = FoundMemcgs::new(&all, &names);
    let memcg = found.by_css[&HOME];
    let refs = found.members(memcg).map(|members| members.refs.into());
    let references = found.references(memcg);
    let key = Key { css: HOME, serial: 0 };
    let explanation = Explanation::of(&Referenced { key, before: refs, after: refs, references });
    let parts = explanation.parts.iter().map(|part| (part.pin, part.refs)).collect();
    (parts, explanation.counted.map(|counted| counted.high))
}

#[test]
fn each_cache_has_one_and_kernel_memory_has_one() {
    let root = Bytes::of(ROOT);
    let mut home = Bytes::of(HOME);
    home.refs(3).pages(9, 9, 9).kmem_flags(ACTIVE_AND_DEAD);
    let caches = ["inode_cache(2:home)", "sighand_cache(2:home)"];
    let (parts, counted) = explained(&[&root], &home, &caches);
    assert_eq!(parts, [(Pin::SlabCache, 1), (Pin::SlabCache, 1), (Pin::KernelMemory, 1)]);
    assert_eq!(counted, Some(3));
}

/// Where css_free came and no page was charged, accounting has no reference any more.
#[test]
fn accounting_holds_it_until_css_free() {
    let root = Bytes::of(ROOT);
    let mut home = Bytes::of(HOME);
    home.refs(1).kmem_flags(ACTIVE);
    assert_eq!(explained(&[&root], &home, &[]).0, [(Pin::Unexplained, 1)]);
    home.refs(2).css_stays();
    assert_eq!(explained(&[&root], &home, &[]).0, [(Pin::Directory, 2)]);
    home.refs(2).pages(1, 1, 1);
    assert_eq!(explained(&[&root], &home, &[]).0, [(Pin::Directory, 1), (Pin::KernelMemory, 1)]);
    // A css that somebody refers to does not wait for its directory.
    home.put(8, i32::MIN as u32 + 1);
    assert_eq!(explained(&[&root], &home, &[]).0, [(Pin::KernelMemory, 1), (Pin::Unexplained, 1)]);
}

/// Counters have what children are charged for, references do not.
#[test]
fn what_a_child_has_is_the_childs() {
    let root = Bytes::of(ROOT);
    let mut home = Bytes::of(HOME);
    home.refs(6).pages(10, 110, 10).kmem_flags(ACTIVE_AND_DEAD);
    let mut child = Bytes::of(CHILD);
    child.below(HOME).pages(10, 106, 10).refs(97);
    let (parts, counted) = explained(&[&root, &child], &home, &[]);
    assert_eq!(parts, [(Pin::Swap, 4), (Pin::Child, 1), (Pin::KernelMemory, 1)]);
    assert_eq!(counted, Some(6));
    let members = home.found().members.expect("they are read");
    let own = members.pages() - child.found().members.expect("they are read").pages();
    let all = members.references(2, own, None).into_iter().find_map(|reference| match reference.thing {
        Thing::KernelMemory { folios } => Some(folios),
        _ => None,
    });
    assert_eq!(all, Some(Folios::default()));
}

#[test]
fn more_than_was_counted_is_not_claimed() {
    let root = Bytes::of(ROOT);
    let mut home = Bytes::of(HOME);
    home.refs(5).pages(0, 100, 0).kmem_flags(ACTIVE_AND_DEAD);
    let (parts, _) = explained(&[&root], &home, &[]);
    assert_eq!(parts.iter().map(|(_, refs)| refs).sum::<u64>(), 5);
}

#[test]
fn swap_that_is_not_accounted_for_is_none() {
    let root = Bytes::of(ROOT);
    let mut home = Bytes::of(HOME);
    home.pages(100, 0, 0);
    assert_eq!(explained(&[&root], &home, &[]).0, [(Pin::Unexplained, 1)]);
}

/// Another build has its members elsewhere: then only what has a proof of its own is told.
#[test]
fn counts_are_those_of_a_proven_layout() {
    let caches = ["inode_cache(2:home)"];
    let only_caches = (vec![(Pin::SlabCache, 1)], None);
    let mut home = Bytes::of(HOME);
    home.refs(2).pages(9, 109, 9).kmem_flags(ACTIVE_AND_DEAD);
    assert_eq!(explained(&[], &home, &caches), only_caches);
    for counter in [72, 264, 304] {
        let mut root = Bytes::of(ROOT);
        root.put(counter + 8, 4096_u64);
        assert_eq!(explained(&[&root], &home, &caches), only_caches, "{counter}");
    }
    // Freed and used again while all are read.
    for (at, value) in [(372, 0_u32), (372, 0x3c59_0000), (376, 101), (352, 4)] {
        let mut home = Bytes::of(HOME);
        home.refs(2).put(at, value);
        assert_eq!(explained(&[&Bytes::of(ROOT)], &home, &caches), only_caches, "{at}");
    }
}

#[test]
fn sockets_that_never_had_a_limit_hold_nothing() {
    let mut home = Bytes::of(HOME);
    let may = |home: &Bytes| home.found().members.map(|members| members.may_have_sockets());
    assert_eq!(may(&home), Some(false));
    home.sockets_have_a_limit();
    assert_eq!(may(&home), Some(true));
    // In a build with tcp_mem beyond what is looked at, they may.
    home.put(TCP_MEM + 48, 0_u64);
    assert_eq!(may(&home), Some(true));
}
