//! The kernel's own list of caches, as it was at one time.

use super::Symbol;

/// All caches that the kernel lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `CLOCK_MONOTONIC`, ns: before the first of them was read, and after the last.
    pub began_ns: u64,
    pub ended_ns: u64,
    pub caches: Vec<ListedCache>,
    /// Names in /sys/kernel/slab that lead nowhere: the kernel left them behind.
    pub stale_links: u64,
}

/// What a list adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCounts {
    pub caches: u64,
    /// Names that link to them.
    pub links: u64,
    /// Names that lead nowhere.
    pub stale_links: u64,
}

impl Listing {
    pub fn counts(&self) -> ListCounts {
        ListCounts {
            caches: self.caches.len() as u64,
            links: self.caches.iter().map(|cache| cache.links.len() as u64).sum(),
            stale_links: self.stale_links,
        }
    }
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedCache {
    /// Its directory: its name, or an id like `:0000128` if caches may be merged into it.
    pub dir: Box<[u8]>,
    /// Its own name; the directory's, if /proc/slabinfo has none that fits.
    pub name: Box<[u8]>,
    /// Names that link to the directory, its own included.
    pub links: Vec<Box<[u8]>>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// Objects in use, and all there is room for.
    pub objects: Option<(u64, u64)>,
    pub ctor: Option<Symbol>,
    /// It has a constructor, whose code is there no more.
    pub ctor_gone: bool,
    /// How often it is held beyond once. -1: it was destroyed, and is still here.
    pub aliases: Option<i64>,
}
