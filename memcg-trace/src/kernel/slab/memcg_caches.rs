//! The slab caches that belong to memcgs, read from /proc/kcore.
//!
//! Up to Linux 5.8 a memcg gets a copy of each cache that it allocates from (9855609bde03 "mm: memcg/slab: use a single
//! set of kmem_caches for all accounted allocations" ended that). The copies are in the list `slab_caches`, like their
//! root caches, and are named after the root, a number and the cgroup: `sighand_cache(12:web)`.
//!
//! The list may change while it is read. It was read completely if it ends at its head, otherwise it is read again. A
//! cache counts for a memcg if it is named after its root.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
};

use thiserror::Error;

use super::listing;
use crate::kernel::{
    ability::Lack,
    memory::{
        kcore::{Kcore, KcoreError, Struct},
        symbols::{SymbolError, symbol},
    },
};

/// Symbol of the list of all caches, a `struct list_head`.
const LIST: &str = "slab_caches";
/// `memcg_create_cache_name` puts no more than two names and a number into one.
const NAME_MAX: usize = 640;
/// More caches than all memcgs can have: the list is invalid.
const CACHES_MAX: usize = 1 << 23;
/// Number of attempts to read a list that changes meanwhile.
const TRIES: usize = 3;

/// Offsets in `struct kmem_cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// `kmem_cache.name`
    pub name: u32,
    /// `kmem_cache.list`
    pub list: u32,
    pub params: Params,
    /// Whether a cache pins its memcg for as long as it exists (3.10). Otherwise it goes away with its memcg.
    pub hold: bool,
}

/// Location of `struct memcg_cache_params`, and offsets in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// Embedded in the cache (f7ce3190c4a3 "slab: embed memcg_cache_params to kmem_cache"); offsets from the cache.
    Embedded { memcg: u32, root_cache: u32 },
    /// Behind the pointer `kmem_cache.memcg_params`, which is NULL in many root caches.
    Behind { pointer: u32, is_root_cache: u32, memcg: u32, root_cache: u32 },
}

/// Layout of 3.10 in RHEL 7, which has no BTF: include/linux/slab.h, include/linux/slub_def.h. A cache takes its
/// reference in `memcg_register_cache` (mm/memcontrol.c) and drops it when it is destroyed.
pub const BY_CGROUP: CacheLayout = CacheLayout {
    name: 96,
    list: 104,
    params: Params::Behind { pointer: 184, is_root_cache: 0, memcg: 8, root_cache: 32 },
    hold: true,
};

/// The reason why a memcg's caches are unknown.
#[derive(Debug, Error)]
pub enum CachesError {
    #[error(transparent)]
    Kcore(#[from] KcoreError),
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    #[error("the list of slab caches changes faster than it can be read, or is invalid")]
    Broken,
    #[error("cannot read /proc/slabinfo: {0}")]
    SlabInfo(io::Error),
    #[error(
        "the layout of slab caches does not describe this kernel: the caches read through it differ from /proc/slabinfo"
    )]
    Refuted,
}

impl Lack for CachesError {
    fn next_step(&self) -> String {
        match self {
            Self::Kcore(error) => error.next_step(),
            Self::Symbol(error) => error.next_step(),
            Self::SlabInfo(_) => "mount /proc".to_owned(),
            Self::Broken | Self::Refuted => "none needed: the caches that pin memcgs stay unknown".to_owned(),
        }
    }

    fn manifest(&self) -> Option<&'static str> {
        match self {
            Self::Symbol(error) => error.manifest(),
            Self::Kcore(_) | Self::SlabInfo(_) | Self::Broken | Self::Refuted => None,
        }
    }
}

/// Sorted names of caches, by requested memcg.
pub type CacheNames = HashMap<u64, BTreeSet<Box<[u8]>>>;

/// Addresses of root caches, by name.
type Roots = BTreeMap<Box<[u8]>, u64>;

/// Reader of the list. Opening it requires CAP_SYS_RAWIO and CAP_SYSLOG, reading does not.
pub struct MemcgCaches {
    kcore: Kcore,
    layout: CacheLayout,
    /// Address of the list head.
    head: u64,
    /// Whether the layout is proven: the root caches read through it match /proc/slabinfo.
    proven: bool,
}

/// A cache of the list.
enum CacheKind {
    Root,
    /// A memcg's copy of a root cache; addresses.
    Copy {
        memcg: u64,
        root: u64,
    },
}

impl MemcgCaches {
    pub fn open(layout: CacheLayout) -> Result<Self, CachesError> {
        let head = symbol(LIST)?;
        Ok(Self { kcore: Kcore::open()?, layout, head, proven: false })
    }

    /// See [`CacheLayout::hold`].
    pub fn hold(&self) -> bool {
        self.layout.hold
    }

    /// The caches of each of these memcgs, given by address. The first read proves the layout.
    pub fn read(&mut self, memcgs: impl Iterator<Item = u64> + Clone) -> Result<CacheNames, CachesError> {
        self.kcore.refresh()?;
        let mut result = Err(CachesError::Broken);
        for _ in 0..TRIES {
            let mut names: CacheNames = memcgs.clone().map(|memcg| (memcg, BTreeSet::new())).collect();
            result = match self.roots(&mut names) {
                Some(roots) if self.proven || is_listed(&roots)? => Ok(names),
                Some(_) => Err(CachesError::Refuted),
                None => Err(CachesError::Broken),
            };
            if result.is_ok() {
                self.proven = true;
                break;
            }
        }
        result
    }

    /// Whether the size of every root cache, read at this offset, matches /proc/slabinfo.
    pub fn proves_size(&mut self, offset: u32) -> Result<bool, CachesError> {
        let listed = listing::sizes().map_err(CachesError::SlabInfo)?;
        let roots = self.roots(&mut CacheNames::new()).ok_or(CachesError::Broken)?;
        let mut sizes = roots.iter().map(|(name, cache)| (listed.get(name), *cache));
        let is = |(listed, cache): (Option<&u32>, u64)| self.kcore.member(cache, offset) == listed.copied();
        Ok(!roots.is_empty() && sizes.all(is))
    }

    /// Reads the list into `names`, and returns the root caches. `None`: it was not read completely.
    fn roots(&self, names: &mut CacheNames) -> Option<Roots> {
        let mut roots = Roots::new();
        let mut entry: u64 = self.kcore.member(self.head, 0)?;
        let mut mark = 0;
        for step in 0..CACHES_MAX {
            if entry == self.head {
                return Some(roots);
            }
            // A cycle without the head (Brent's algorithm).
            if entry == mark {
                return None;
            }
            mark = if step.is_power_of_two() { entry } else { mark };
            let address = entry.checked_sub(self.layout.list.into())?;
            let cache = self.kcore.read(address, self.layout.length())?;
            entry = cache.get(self.layout.list)?;
            match self.what(&cache) {
                Some(CacheKind::Root) => roots.extend(self.name(&cache).map(|name| (name, address))),
                Some(CacheKind::Copy { memcg, root }) => {
                    if let Some(names) = names.get_mut(&memcg) {
                        names.extend(self.name(&cache).filter(|name| self.is_named_after(root, name)));
                    }
                }
                None => {}
            }
        }
        None
    }

    fn what(&self, cache: &Struct<Vec<u8>>) -> Option<CacheKind> {
        match self.layout.params {
            Params::Embedded { memcg, root_cache } => match cache.get(root_cache)? {
                0 => Some(CacheKind::Root),
                root => Some(CacheKind::Copy { memcg: cache.get(memcg)?, root }),
            },
            Params::Behind { pointer, is_root_cache, memcg, root_cache } => {
                let params: u64 = cache.get(pointer)?;
                if params == 0 || self.kcore.member::<u8>(params, is_root_cache)? != 0 {
                    return Some(CacheKind::Root);
                }
                let member = |offset| self.kcore.member(params, offset);
                Some(CacheKind::Copy { memcg: member(memcg)?, root: member(root_cache)? })
            }
        }
    }

    fn name(&self, cache: &Struct<Vec<u8>>) -> Option<Box<[u8]>> {
        Some(self.kcore.string(cache.get(self.layout.name)?, NAME_MAX)?.into())
    }

    /// `memcg_create_cache_name`: the root's name, followed by parentheses.
    fn is_named_after(&self, root: u64, name: &[u8]) -> bool {
        let root = self.kcore.member(root, self.layout.name);
        let root = root.and_then(|root| self.kcore.string(root, NAME_MAX));
        root.and_then(|root| name.strip_prefix(&*root)).is_some_and(in_parentheses)
    }
}

impl CacheLayout {
    /// Number of bytes of a cache that contain all members.
    fn length(&self) -> usize {
        let last = match self.params {
            Params::Embedded { memcg, root_cache } => memcg.max(root_cache),
            Params::Behind { pointer, .. } => pointer,
        };
        self.name.max(self.list).max(last) as usize + size_of::<u64>()
    }
}

fn in_parentheses(text: &[u8]) -> bool {
    text.starts_with(b"(") && text.ends_with(b")")
}

/// Whether the root caches are exactly those in /proc/slabinfo.
fn is_listed(roots: &Roots) -> Result<bool, CachesError> {
    let listed = listing::sizes().map_err(CachesError::SlabInfo)?;
    Ok(!roots.is_empty() && roots.keys().eq(listed.keys()))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    const BASE: u64 = 0xffff_8800_0000_0000;
    const HEAD: u64 = BASE;
    const MEMCG: u64 = 0xffff_8800_3c59_0000;
    const EMBEDDED: CacheLayout = CacheLayout {
        name: 96,
        list: 104,
        params: Params::Embedded { memcg: 208, root_cache: 200 },
        hold: false,
    };

    /// Kernel memory that contains a list; each cache has a page, with its parameters and its name.
    struct Memory {
        bytes: Vec<u8>,
        layout: CacheLayout,
        /// Address of the last entry.
        last: u64,
    }

    impl Memory {
        fn new(layout: CacheLayout) -> Self {
            let mut memory = Self { bytes: vec![0; 4096], layout, last: HEAD };
            memory.put(HEAD, HEAD);
            memory
        }

        fn put(&mut self, address: u64, value: u64) {
            let at = (address - BASE) as usize;
            self.bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }

        /// Appends a cache and returns its address; `copy`: the root and the memcg.
        fn cache(&mut self, name: &[u8], copy: Option<(u64, u64)>) -> u64 {
            let cache = BASE + self.bytes.len() as u64;
            self.bytes.resize(self.bytes.len() + 4096, 0);
            let (params, text) = (cache + 1024, cache + 2048);
            let at = (text - BASE) as usize;
            self.bytes[at..at + name.len()].copy_from_slice(name);
            self.put(cache + u64::from(self.layout.name), text);
            match (self.layout.params, copy) {
                (Params::Embedded { .. }, None) => {}
                (Params::Embedded { memcg, root_cache }, Some((root, of))) => {
                    self.put(cache + u64::from(memcg), of);
                    self.put(cache + u64::from(root_cache), root);
                }
                (Params::Behind { pointer, is_root_cache, memcg, root_cache }, copy) => {
                    self.put(cache + u64::from(pointer), params);
                    let (root, of) = copy.unwrap_or_default();
                    self.put(params + u64::from(is_root_cache), copy.is_none().into());
                    self.put(params + u64::from(memcg), of);
                    self.put(params + u64::from(root_cache), root);
                }
            }
            let entry = cache + u64::from(self.layout.list);
            self.put(self.last, entry);
            self.put(entry, HEAD);
            self.last = entry;
            cache
        }

        /// The root caches, and the names of the memcg's caches.
        fn read(&self) -> Option<(Vec<String>, Vec<String>)> {
            let file = memfd_create(c"memory", MFdFlags::empty()).expect("a file in memory");
            let mut file = File::from(file);
            file.write_all(&self.bytes).expect("room");
            let kcore = Kcore::of(file, BASE..BASE + self.bytes.len() as u64);
            let caches = MemcgCaches { kcore, layout: self.layout, head: HEAD, proven: false };
            let mut names = CacheNames::from([(MEMCG, BTreeSet::new())]);
            let roots = caches.roots(&mut names)?;
            let text = |name: &[u8]| name.escape_ascii().to_string();
            let of_memcg = names[&MEMCG].iter().map(|name| text(name)).collect();
            Some((roots.keys().map(|name| text(name)).collect(), of_memcg))
        }
    }

    fn both() -> [Memory; 2] {
        [BY_CGROUP, EMBEDDED].map(Memory::new)
    }

    #[test]
    fn copies_by_their_memcg() {
        for mut memory in both() {
            let anon_vma = memory.cache(b"anon_vma", None);
            let filp = memory.cache(b"filp", None);
            memory.cache(b"filp(0:web\x1b)", Some((filp, MEMCG)));
            memory.cache(b"filp(1:other)", Some((filp, MEMCG + 4096)));
            memory.cache(b"anon_vma(0:web\x1b)", Some((anon_vma, MEMCG)));
            let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
            let expected = (names(["anon_vma", "filp"]), names(["anon_vma(0:web\\x1b)", "filp(0:web\\x1b)"]));
            assert_eq!(memory.read(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_named_after_its_root_is_none() {
        for mut memory in both() {
            let filp = memory.cache(b"filp", None);
            memory.cache(b"dentry(0:web)", Some((filp, MEMCG)));
            memory.cache(b"filp(0:we", Some((filp, MEMCG)));
            memory.cache(b"filp(0:web)", Some((0xdead_0000_0000_0100, MEMCG)));
            assert_eq!(memory.read(), Some((vec!["filp".to_owned()], Vec::new())));
        }
    }

    /// An entry that was removed meanwhile leads nowhere, and one whose memory was reused leads anywhere.
    #[test]
    fn a_list_that_does_not_end_where_it_began_is_none() {
        for mut memory in both() {
            memory.cache(b"filp", None);
            memory.put(memory.last, 0xdead_0000_0000_0100);
            assert_eq!(memory.read(), None);
            memory.put(memory.last, 0);
            assert_eq!(memory.read(), None);
            memory.put(memory.last, memory.last);
            assert_eq!(memory.read(), None);
        }
    }
}
