//! What is done again later.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use crate::event::Key;

/// Jobs by the time when they are due.
pub struct Later<T> {
    /// The number tells apart what is due at once.
    by_time: BTreeMap<(Instant, u64), (Key, T)>,
    /// The latest job of each memcg.
    of_memcg: HashMap<Key, (Instant, u64)>,
    number: u64,
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), of_memcg: HashMap::new(), number: 0 }
    }
}

impl<T> Later<T> {
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    pub fn push(&mut self, due: Instant, key: Key, job: T) {
        self.number += 1;
        self.of_memcg.insert(key, (due, self.number));
        self.by_time.insert((due, self.number), (key, job));
    }

    /// When the first is due.
    pub fn first_due(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((due, _), _)| *due)
    }

    /// The first, if it is due by now.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let first = self.by_time.first_entry().filter(|first| first.key().0 <= now)?.remove_entry();
        Some(self.removed(first))
    }

    pub fn pop_last(&mut self) -> Option<T> {
        let last = self.by_time.pop_last()?;
        Some(self.removed(last))
    }

    /// The latest of a memcg.
    pub fn take(&mut self, key: &Key) -> Option<T> {
        let (_, job) = self.by_time.remove(&self.of_memcg.remove(key)?)?;
        Some(job)
    }

    fn removed(&mut self, (place, (key, job)): ((Instant, u64), (Key, T))) -> T {
        if self.of_memcg.get(&key) == Some(&place) {
            self.of_memcg.remove(&key);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_latest_of_a_memcg_is_found() {
        let (now, key) = (Instant::now(), Key { css: 1, serial: 1 });
        let mut later = Later::default();
        later.push(now, key, "first");
        later.push(now + Duration::from_secs(1), key, "second");
        assert_eq!((later.pop_due(now), later.pop_due(now)), (Some("first"), None));
        assert_eq!((later.take(&key), later.take(&key), later.len()), (Some("second"), None, 0));
    }
}
