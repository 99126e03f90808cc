//! A snapshot of the kernel's own list of caches.

use super::Symbol;

/// All caches in the kernel's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Time before reading the first cache, and after the last (`CLOCK_MONOTONIC`, ns).
    pub began_ns: u64,
    pub ended_ns: u64,
    pub caches: Vec<Listed>,
    /// Number of dangling links in /sys/kernel/slab, which the kernel left behind.
    pub stale_links: u64,
}

/// Totals of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCounts {
    pub caches: u64,
    /// Number of links to them.
    pub links: u64,
    /// Number of dangling links.
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

/// A cache in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its directory: its name, or an id like `:0000128` if mergeable.
    pub dir: Box<[u8]>,
    /// Its own name; that of the directory if not in /proc/slabinfo.
    pub name: Box<[u8]>,
    /// Names that link to the directory, including its own.
    pub links: Vec<Box<[u8]>>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// Objects in use, and allocated.
    pub objects: Option<(u64, u64)>,
    pub ctor: Option<Symbol>,
    /// It has a constructor, but its code is gone.
    pub ctor_gone: bool,
    /// Reference count minus one. -1: destroyed, but still existing.
    pub aliases: Option<i64>,
}
