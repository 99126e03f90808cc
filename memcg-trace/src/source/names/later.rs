//! Questions that are tried again, when it is time for it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::queue::Job;
use crate::event::Key;

/// One for each memcg.
#[derive(Default)]
pub struct Later {
    /// The number tells apart what is due at once.
    by_time: BTreeMap<(Instant, u64), Job>,
    of_memcg: HashMap<Key, (Instant, u64)>,
    number: u64,
}

impl Later {
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    pub fn push(&mut self, due: Instant, job: Job) {
        self.number += 1;
        self.of_memcg.insert(job.key, (due, self.number));
        self.by_time.insert((due, self.number), job);
    }

    /// When the first is due.
    pub fn first_due(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((due, _), _)| *due)
    }

    /// The first, if it is due by now.
    pub fn pop_due(&mut self, now: Instant) -> Option<Job> {
        let (_, job) = (self.first_due()? <= now).then(|| self.by_time.pop_first())??;
        self.of_memcg.remove(&job.key);
        Some(job)
    }

    pub fn pop_last(&mut self) -> Option<Job> {
        let (_, job) = self.by_time.pop_last()?;
        self.of_memcg.remove(&job.key);
        Some(job)
    }

    /// That of a memcg.
    pub fn take(&mut self, key: &Key) -> Option<Job> {
        self.by_time.remove(&self.of_memcg.remove(key)?)
    }
}
