//! What the dying memcgs are charged for, kept up to date with each change of one of them.
//!
//! A memcg's counter has the charges of its descendants: those of a dying memcg whose parent is dying, too, must not count
//! twice.

use foldhash::HashMap;

use crate::event::Key;

/// One dying memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    pub key: Key,
    /// Another memcg.
    pub parent: Option<Key>,
    /// Its counter, in pages, its descendants included; `None`: not known.
    pub pages: Option<u64>,
}

/// Invariant: `in_parents` is the sum of `by_parent` over the dying memcgs. Which memcgs are dying, the ledger knows.
#[derive(Debug, Default)]
pub(super) struct DyingCharge {
    /// Dying memcgs whose charge is not known.
    unknown: u64,
    /// Sum of all counters. Counters are untrusted: no sum of 2^64 of them overflows.
    pages: u128,
    /// The part of it that the counters of dying parents have, too.
    in_parents: u128,
    /// The counters of the dying children of each memcg, dying or not.
    by_parent: HashMap<Key, u128>,
}

impl DyingCharge {
    /// A memcg is dying from now on. `is_dying` tells that of others.
    pub fn add(&mut self, memcg: Charged, is_dying: impl Fn(&Key) -> bool) {
        self.in_parents += self.of_children(&memcg.key);
        self.unknown += u64::from(memcg.pages.is_none());
        let Some(pages) = memcg.pages.filter(|&pages| pages > 0).map(u128::from) else { return };
        self.pages += pages;
        if let Some(parent) = memcg.parent {
            *self.by_parent.entry(parent).or_default() += pages;
            self.in_parents += if is_dying(&parent) { pages } else { 0 };
        }
    }

    /// The reverse of [`Self::add`], of the same facts.
    pub fn remove(&mut self, memcg: Charged, is_dying: impl Fn(&Key) -> bool) {
        self.in_parents -= self.of_children(&memcg.key);
        self.unknown -= u64::from(memcg.pages.is_none());
        let Some(pages) = memcg.pages.filter(|&pages| pages > 0).map(u128::from) else { return };
        self.pages -= pages;
        if let Some(parent) = memcg.parent {
            match self.of_children(&parent) - pages {
                0 => self.by_parent.remove(&parent),
                of_parent => self.by_parent.insert(parent, of_parent),
            };
            self.in_parents -= if is_dying(&parent) { pages } else { 0 };
        }
    }

    /// In pages, each counted once; `None`: not known for all.
    pub fn pages(&self) -> Option<u64> {
        let pages = u64::try_from(self.pages - self.in_parents).unwrap_or(u64::MAX);
        (self.unknown == 0).then_some(pages)
    }

    fn of_children(&self, parent: &Key) -> u128 {
        self.by_parent.get(parent).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(serial: u64) -> Key {
        Key { css: 0xffff_0000 + serial, serial }
    }

    fn memcg(serial: u64, parent: u64, pages: impl Into<Option<u64>>) -> Charged {
        Charged { key: key(serial), parent: Some(key(parent)), pages: pages.into() }
    }

    #[test]
    fn a_child_is_in_its_parents_charge() {
        let mut charge = DyingCharge::default();
        let (nobody, parent_is) = (|_: &Key| false, |parent: &Key| *parent == key(2));
        assert_eq!(charge.pages(), Some(0));
        // Two children of a live parent, which dies after them, as the kernel has it.
        let (parent, one, other) = (memcg(2, 1, 50), memcg(3, 2, 10), memcg(4, 2, 30));
        charge.add(one, nobody);
        charge.add(other, nobody);
        assert_eq!(charge.pages(), Some(40));
        charge.add(parent, nobody);
        assert_eq!(charge.pages(), Some(50));
        charge.remove(one, parent_is);
        assert_eq!(charge.pages(), Some(50));
        // Events were lost: the parent goes first.
        charge.remove(parent, nobody);
        assert_eq!(charge.pages(), Some(30));
        charge.remove(other, nobody);
        assert_eq!(charge.pages(), Some(0));
        assert!(charge.by_parent.is_empty() && charge.in_parents == 0);
    }

    #[test]
    fn unknown_is_not_zero_and_nonsense_does_not_overflow() {
        let mut charge = DyingCharge::default();
        let nobody = |_: &Key| false;
        charge.add(memcg(2, 1, None), nobody);
        assert_eq!(charge.pages(), None);
        charge.remove(memcg(2, 1, None), nobody);
        assert_eq!(charge.pages(), Some(0));
        for serial in [5, 6] {
            charge.add(memcg(serial, 9, u64::MAX), nobody);
        }
        assert_eq!(charge.pages(), Some(u64::MAX));
        for serial in [5, 6] {
            charge.remove(memcg(serial, 9, u64::MAX), nobody);
        }
        assert_eq!((charge.pages(), charge.in_parents), (Some(0), 0));
    }
}
