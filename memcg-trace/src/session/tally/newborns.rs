//! Memcgs that are too young to be counted for their workload: names come in later than the memcg.

use std::collections::{HashSet, VecDeque};

use crate::event::Key;

/// How long names take, ns: most a millisecond, those that a runtime is asked for more.
const AGE_NS: u64 = 2_000_000_000;

/// Memcgs that were not counted so far.
#[derive(Debug, Default)]
pub struct Newborns {
    /// By time of birth, ns.
    born: VecDeque<(u64, Key)>,
    waiting: HashSet<Key>,
}

impl Newborns {
    pub fn born(&mut self, t_ns: u64, key: Key) {
        self.born.push_back((t_ns, key));
        self.waiting.insert(key);
    }

    /// Takes one out before its time; false: it was counted.
    pub fn take(&mut self, key: &Key) -> bool {
        self.waiting.remove(key)
    }

    /// Those that are old enough to be counted.
    pub fn grown(&mut self, now_ns: u64) -> Vec<Key> {
        let young = self.born.iter().position(|(t_ns, _)| t_ns.saturating_add(AGE_NS) > now_ns);
        let grown = self.born.drain(..young.unwrap_or(self.born.len()));
        grown.map(|(_, key)| key).filter(|key| self.waiting.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once() {
        let key = |serial| Key { css: 1, serial };
        let mut newborns = Newborns::default();
        newborns.born(0, key(1));
        newborns.born(1, key(2));
        newborns.born(5, key(3));
        assert!(newborns.take(&key(1)));
        assert_eq!(newborns.grown(AGE_NS + 1), [key(2)]);
        assert!(!newborns.take(&key(2)));
        assert!(newborns.take(&key(3)));
        assert_eq!(newborns.grown(u64::MAX), []);
    }
}
