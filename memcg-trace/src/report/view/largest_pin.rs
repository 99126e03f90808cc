//! Dying memcgs by the largest thing that pins each of them.

use std::cmp::Reverse;

use foldhash::HashMap;

use super::{MemcgView, ProcessView};
use crate::{
    cause::{Pin, PinnedBy},
    event::Key,
    report::escape::Name,
    tracker::Memcg,
};

/// What dying memcgs hold whose largest pins are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// `None`: it was not looked at what pins them.
    pub pin: Option<Pin>,
    pub memcgs: u64,
    /// At most: their counters, and where their references allow for less, that. Charges of descendants count once.
    pub bytes: u64,
    /// Of these, memcgs whose counter is not known.
    pub unknown: u64,
}

/// A thing that is the largest pin of some dying memcgs.
#[derive(Clone, Debug)]
pub struct LargestPin<'a> {
    pub pin: Pin,
    /// Path, address or name; `None`: it has none.
    pub what: Option<Name<'a>>,
    pub memcgs: u64,
    /// Who could let go of it, one of so many; `None`: nobody was found.
    pub holder: Option<ProcessView<'a>>,
    pub holders: u64,
}

/// By kind, most bytes first.
pub fn held_by<'a>(dying: impl Iterator<Item = &'a Memcg>, page_bytes: u64) -> Vec<HeldBy> {
    let dying: HashMap<Key, &Memcg> = dying.map(|memcg| (memcg.key, memcg)).collect();
    let mut held: HashMap<Option<Pin>, HeldBy> = HashMap::default();
    for memcg in dying.values() {
        let pin = largest(memcg).map(|by| by.pin).or_else(|| slab_cache(memcg));
        let held = held.entry(pin).or_insert(HeldBy { pin, memcgs: 0, bytes: 0, unknown: 0 });
        held.memcgs += 1;
        if memcg.parent.is_some_and(|parent| parent != memcg.key && dying.contains_key(&parent)) {
            continue;
        }
        let charged = memcg.charged_pages.map(|pages| pages.saturating_mul(page_bytes));
        match MemcgView::held_bytes_max(memcg, page_bytes).or(charged) {
            Some(bytes) => held.bytes = held.bytes.saturating_add(bytes),
            None => held.unknown += 1,
        }
    }
    let mut held: Vec<HeldBy> = held.into_values().collect();
    held.sort_by_key(|held| (held.pin.is_none(), Reverse(held.bytes), Reverse(held.memcgs), held.pin));
    held
}

/// Things, most memcgs first.
pub fn largest_pins<'a>(dying: impl Iterator<Item = &'a Memcg>) -> Vec<LargestPin<'a>> {
    let mut things: HashMap<(Pin, Option<&'a [u8]>), LargestPin<'a>> = HashMap::default();
    // Which holder is named must not depend on the order of the ledger: that of the oldest.
    let mut dying: Vec<&'a Memcg> = dying.collect();
    dying.sort_unstable_by_key(|memcg| memcg.key);
    for by in dying.into_iter().filter_map(largest) {
        let PinnedBy { pin, what, holder, holders, .. } = by;
        let what = what.as_deref();
        let thing = things.entry((*pin, what)).or_insert_with(|| LargestPin {
            pin: *pin,
            what: what.map(Name),
            memcgs: 0,
            holder: holder.as_ref().map(ProcessView::new),
            holders: *holders,
        });
        thing.memcgs += 1;
    }
    let mut things: Vec<LargestPin<'a>> = things.into_values().collect();
    things.sort_by_key(|thing| (Reverse(thing.memcgs), thing.pin, thing.what.map(|Name(what)| what)));
    things
}

/// The kind with the most references.
fn largest(memcg: &Memcg) -> Option<&PinnedBy> {
    memcg.pinned.as_deref()?.by.first()
}

/// Where memcgs have slab caches of their own that pin them (3.10).
fn slab_cache(memcg: &Memcg) -> Option<Pin> {
    memcg
        .slab_caches
        .as_deref()
        .filter(|caches| caches.hold && !caches.names.is_empty())
        .map(|_| Pin::SlabCache)
}
