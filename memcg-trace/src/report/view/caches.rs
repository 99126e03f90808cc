//! Slab caches that pin memcgs.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;

use crate::{report::escape::Name, slab::root_name, tracker::Memcg};

/// Copies of a slab cache, and the number of memcgs they pin.
#[derive(Clone, Debug, Serialize)]
pub struct Pin<'a> {
    /// The root cache.
    pub cache: Name<'a>,
    pub memcgs: u64,
}

/// The caches that pin these memcgs, most memcgs first. A memcg counts for each cache that pins it. `None`: unknown for
/// all.
pub fn pins<'a>(memcgs: impl Iterator<Item = &'a Memcg>) -> Option<Vec<Pin<'a>>> {
    let known = memcgs.filter_map(|memcg| memcg.slab_caches.as_ref());
    let mut held = known.filter(|caches| caches.hold).peekable();
    held.peek()?;
    let mut memcgs: BTreeMap<&[u8], u64> = BTreeMap::new();
    for caches in held {
        let roots: BTreeSet<&[u8]> = caches.names.iter().map(|name| root_name(name)).collect();
        roots.into_iter().for_each(|root| *memcgs.entry(root).or_default() += 1);
    }
    let pins = memcgs.into_iter().map(|(cache, memcgs)| Pin { cache: Name(cache), memcgs });
    let mut pins: Vec<_> = pins.collect();
    pins.sort_by_key(|pin| Reverse(pin.memcgs));
    Some(pins)
}
