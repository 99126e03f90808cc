//! Remembers the entries most recently removed from the ledger.

use std::{collections::VecDeque, hash::Hash};

use foldhash::HashMap;

/// Number of entries freed meanwhile that a late event may lag behind.
const CAPACITY: usize = 4096;

/// The most recent entries; the oldest is evicted.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    order: VecDeque<K>,
    entries: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub fn new() -> Self {
        Self { order: VecDeque::new(), entries: HashMap::default() }
    }

    /// Oldest first.
    pub fn of(entries: impl Iterator<Item = (K, V)>) -> Self {
        let mut recent = Self::new();
        entries.for_each(|(key, value)| recent.remember(key, value));
        recent
    }

    pub fn remember(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_some() {
            // It keeps its original position.
            return;
        }
        self.order.push_back(key);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.order.iter().filter_map(|key| Some((*key, self.entries.get(key)?)))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_evicted() {
        let mut recent = Recent::of((0..CAPACITY).map(|key| (key, key)));
        assert_eq!(recent.get(&0), Some(&0));
        recent.remember(0, 7);
        assert_eq!((recent.iter().count(), recent.iter().next()), (CAPACITY, Some((0, &7))));
        recent.remember(CAPACITY, 1);
        assert_eq!((recent.get(&0), recent.get(&1), recent.iter().count()), (None, Some(&1), CAPACITY));
        recent.values_mut().for_each(|value| *value = 2);
        assert!(recent.iter().all(|(_, value)| *value == 2));
    }
}
