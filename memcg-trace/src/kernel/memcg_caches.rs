//! The slab caches that belong to memcgs, read from /proc/kcore.
//!
//! Up to Linux 5.8 a memcg gets a copy of each cache that it allocates from (9855609bde03 "mm: memcg/slab: use a single set of
//! kmem_caches for all accounted allocations" ended that). The copies are in the list `slab_caches`, beside the caches that
//! they are copies of, their roots, and are named after these, a number and the cgroup: `sighand_cache(12:web)`.
//!
//! Nothing holds still while the list is read. A list that ends where it began was read as a whole, any other is read again. A
//! cache counts for a memcg if it is named after its root.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
};

use thiserror::Error;

use super::{
    kcore::{Kcore, KcoreError, Struct},
    slab_list,
    symbols::{SymbolError, symbol},
};

/// All caches, a `struct list_head`.
const LIST: &str = "slab_caches";
/// `memcg_create_cache_name` puts no more than two names and a number into one.
const NAME_MAX: usize = 640;
/// More caches than all memcgs can have: the list is none.
const CACHES_MAX: usize = 1 << 23;
/// How often a list is read that changes meanwhile.
const TRIES: usize = 3;

/// Where what is asked of a `struct kmem_cache` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// `kmem_cache.name`
    pub name: u32,
    /// `kmem_cache.list`
    pub list: u32,
    pub params: Params,
    /// A cache holds its memcg for as long as it exists; otherwise it goes with its memcg, whatever holds that.
    pub hold: bool,
}

/// Where `struct memcg_cache_params` is, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// In the cache (f7ce3190c4a3 "slab: embed memcg_cache_params to kmem_cache"); offsets within that.
    Embedded { memcg: u32, root_cache: u32 },
    /// Behind a pointer at `kmem_cache.memcg_params`, NULL in many a root.
    Behind { pointer: u32, is_root_cache: u32, memcg: u32, root_cache: u32 },
}

/// That of 3.10 in RHEL 7, which has no type information: include/linux/slab.h, include/linux/slub_def.h. A cache takes its
/// reference in `memcg_register_cache` (mm/memcontrol.c) and gives it back when it is destroyed.
pub const BY_CGROUP: CacheLayout = CacheLayout {
    name: 96,
    list: 104,
    params: Params::Behind { pointer: 184, is_root_cache: 0, memcg: 8, root_cache: 32 },
    hold: true,
};

/// Why it is not known which caches a memcg has.
#[derive(Debug, Error)]
pub enum CachesError {
    #[error(transparent)]
    Kcore(#[from] KcoreError),
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    #[error("the list of slab caches changes faster than it is read, or is none")]
    Broken,
    #[error("cannot read /proc/slabinfo: {0}")]
    SlabInfo(io::Error),
    #[error(
        "the layout of slab caches does not describe this kernel: through it, they are not those of /proc/slabinfo"
    )]
    Refuted,
}

/// Names of caches by the memcgs that were asked for; in order.
pub type Names = HashMap<u64, BTreeSet<Box<[u8]>>>;

/// Addresses of caches that are copies of none, by their names.
type Roots = BTreeMap<Box<[u8]>, u64>;

/// The list. Opening it takes CAP_SYS_RAWIO and CAP_SYSLOG, reading it nothing.
pub struct MemcgCaches {
    kcore: Kcore,
    layout: CacheLayout,
    /// Address of the list's head.
    head: u64,
    /// The layout made the kernel's own list of roots out of it.
    proven: bool,
}

/// What a cache is.
enum Cache {
    Root,
    /// The copy of a root for a memcg; addresses.
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

    /// The caches of each of these memcgs, by their addresses. The first read proves the layout.
    pub fn read(&mut self, memcgs: impl Iterator<Item = u64> + Clone) -> Result<Names, CachesError> {
        self.kcore.refresh()?;
        let mut result = Err(CachesError::Broken);
        for _ in 0..TRIES {
            let mut names: Names = memcgs.clone().map(|memcg| (memcg, BTreeSet::new())).collect();
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

    /// Whether every root's size, read at this offset, is that of /proc/slabinfo.
    pub fn proves_size(&mut self, offset: u32) -> Result<bool, CachesError> {
        let listed = slab_list::sizes().map_err(CachesError::SlabInfo)?;
        let roots = self.roots(&mut Names::new()).ok_or(CachesError::Broken)?;
        let mut sizes = roots.iter().map(|(name, cache)| (listed.get(name), *cache));
        let is = |(listed, cache): (Option<&u32>, u64)| self.kcore.member(cache, offset) == listed.copied();
        Ok(!roots.is_empty() && sizes.all(is))
    }

    /// Reads the list into `names`, and gives the roots. `None`: it was not read as a whole.
    fn roots(&self, names: &mut Names) -> Option<Roots> {
        let mut roots = Roots::new();
        let mut entry: u64 = self.kcore.member(self.head, 0)?;
        let mut mark = 0;
        for step in 0..CACHES_MAX {
            if entry == self.head {
                return Some(roots);
            }
            // Round and round without the head (Brent's algorithm).
            if entry == mark {
                return None;
            }
            mark = if step.is_power_of_two() { entry } else { mark };
            let address = entry.checked_sub(self.layout.list.into())?;
            let cache = self.kcore.read(address, self.layout.length())?;
            entry = cache.get(self.layout.list)?;
            match self.what(&cache) {
                Some(Cache::Root) => roots.extend(self.name(&cache).map(|name| (name, address))),
                Some(Cache::Copy { memcg, root }) => {
                    if let Some(names) = names.get_mut(&memcg) {
                        names.extend(self.name(&cache).filter(|name| self.is_named_after(root, name)));
                    }
                }
                None => {}
            }
        }
        None
    }

    fn what(&self, cache: &Struct<Vec<u8>>) -> Option<Cache> {
        match self.layout.params {
            Params::Embedded { memcg, root_cache } => match cache.get(root_cache)? {
                0 => Some(Cache::Root),
                root => Some(Cache::Copy { memcg: cache.get(memcg)?, root }),
            },
            Params::Behind { pointer, is_root_cache, memcg, root_cache } => {
                let params: u64 = cache.get(pointer)?;
                if params == 0 || self.kcore.member::<u8>(params, is_root_cache)? != 0 {
                    return Some(Cache::Root);
                }
                let member = |offset| self.kcore.member(params, offset);
                Some(Cache::Copy { memcg: member(memcg)?, root: member(root_cache)? })
            }
        }
    }

    fn name(&self, cache: &Struct<Vec<u8>>) -> Option<Box<[u8]>> {
        Some(self.kcore.string(cache.get(self.layout.name)?, NAME_MAX)?.into())
    }

    /// `memcg_create_cache_name`: the root's name, and more in parentheses.
    fn is_named_after(&self, root: u64, name: &[u8]) -> bool {
        let root = self.kcore.member(root, self.layout.name);
        let root = root.and_then(|root| self.kcore.string(root, NAME_MAX));
        root.and_then(|root| name.strip_prefix(&*root)).is_some_and(in_parentheses)
    }
}

impl CacheLayout {
    /// As much of a cache as has all members.
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

/// The roots are those that /proc/slabinfo lists, no less and no more.
fn is_listed(roots: &Roots) -> Result<bool, CachesError> {
    let listed = slab_list::sizes().map_err(CachesError::SlabInfo)?;
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

    /// Kernel memory with a list in it; a page for each cache, with its parameters and its name.
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

        /// Appends a cache; `copy`: of a root, for a memcg. Gives its address.
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

        /// The roots, and the names of the memcg's caches.
        fn read(&self) -> Option<(Vec<String>, Vec<String>)> {
            let file = memfd_create(c"memory", MFdFlags::empty()).expect("a file in memory");
            let mut file = File::from(file);
            file.write_all(&self.bytes).expect("room");
            let kcore = Kcore::of(file, BASE..BASE + self.bytes.len() as u64);
            let caches = MemcgCaches { kcore, layout: self.layout, head: HEAD, proven: false };
            let mut names = Names::from([(MEMCG, BTreeSet::new())]);
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

    /// An entry that was removed meanwhile leads nowhere, and one whose memory was used anew anywhere.
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
