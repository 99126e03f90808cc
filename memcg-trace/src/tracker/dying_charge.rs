//! What the dying memcgs are charged for, kept up to date with each change of one of them.
//!
//! A memcg's counter has the charges of its descendants: those of a dying memcg whose parent is dying, too, must not count
//! twice.

use foldhash::{HashMap, HashSet};

use crate::event::Key;

/// One dying memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    pub key: Key,
    pub parent: Option<Key>,
    /// Its counter, in pages, its descendants included; `None`: not known.
    pub pages: Option<u64>,
}

/// Invariant: `in_parents` is the sum of `by_parent` over those `dying`.
#[derive(Debug, Default)]
pub(super) struct DyingCharge {
    dying: HashSet<Key>,
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
    pub fn add(&mut self, memcg: Charged) {
        let pages = u128::from(memcg.pages.unwrap_or(0));
        self.unknown += u64::from(memcg.pages.is_none());
        self.pages += pages;
        self.dying.insert(memcg.key);
        self.in_parents += self.of_children(&memcg.key);
        if let Some(parent) = memcg.parent.filter(|_| pages > 0) {
            *self.by_parent.entry(parent).or_default() += pages;
            if self.dying.contains(&parent) {
                self.in_parents += pages;
            }
        }
    }

    /// The reverse of [`Self::add`], of the same facts.
    pub fn remove(&mut self, memcg: Charged) {
        let pages = u128::from(memcg.pages.unwrap_or(0));
        if let Some(parent) = memcg.parent.filter(|_| pages > 0) {
            let of_parent = self.of_children(&parent) - pages;
            match of_parent {
                0 => self.by_parent.remove(&parent),
                _ => self.by_parent.insert(parent, of_parent),
            };
            if self.dying.contains(&parent) {
                self.in_parents -= pages;
            }
        }
        self.in_parents -= self.of_children(&memcg.key);
        self.dying.remove(&memcg.key);
        self.pages -= pages;
        self.unknown -= u64::from(memcg.pages.is_none());
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
        assert_eq!(charge.pages(), Some(0));
        // Two children of a live parent, which dies after them, as the kernel has it.
        let (parent, one, other) = (memcg(2, 1, 50), memcg(3, 2, 10), memcg(4, 2, 30));
        charge.add(one);
        charge.add(other);
        assert_eq!(charge.pages(), Some(40));
        charge.add(parent);
        assert_eq!(charge.pages(), Some(50));
        charge.remove(one);
        assert_eq!(charge.pages(), Some(50));
        // Events were lost: the parent goes first.
        charge.remove(parent);
        assert_eq!(charge.pages(), Some(30));
        charge.remove(other);
        assert_eq!(charge.pages(), Some(0));
        assert!(charge.by_parent.is_empty() && charge.dying.is_empty() && charge.in_parents == 0);
    }

    #[test]
    fn unknown_is_not_zero_and_nonsense_does_not_overflow() {
        let mut charge = DyingCharge::default();
        charge.add(memcg(2, 1, None));
        assert_eq!(charge.pages(), None);
        charge.remove(memcg(2, 1, None));
        assert_eq!(charge.pages(), Some(0));
        // Its own parent, as a fuzzed event may say.
        for serial in [5, 6, 7] {
            charge.add(memcg(serial, serial, u64::MAX));
        }
        charge.add(memcg(8, 9, u64::MAX));
        charge.add(memcg(10, 9, u64::MAX));
        assert_eq!(charge.pages(), Some(u64::MAX));
        for serial in [6, 5, 7] {
            charge.remove(memcg(serial, serial, u64::MAX));
        }
        assert_eq!(charge.in_parents, 0);
    }
}
