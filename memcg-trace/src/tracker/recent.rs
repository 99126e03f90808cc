//! A short memory of what the ledger has forgotten.

use std::{collections::VecDeque, hash::Hash};

use foldhash::HashMap;

/// How far events that arrive too late may lie behind, counted in what was freed meanwhile.
const CAPACITY: usize = 4096;

/// The last entries remembered; the oldest makes room.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    order: VecDeque<K>,
    entries: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub fn new() -> Self {
        Self { order: VecDeque::new(), entries: HashMap::default() }
    }

    pub fn remember(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_some() {
            // Its place in the order stays that of the first time.
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

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }
}
