//! Counts of a run over time, in bounded memory. Pure: depends only on the book and its changes.

use std::ops::ControlFlow;

use anyhow::Result;

use super::{Book, Durations, Observer, SlabObserver};
use crate::tracker::{Change, Found, Tracker, What};

/// Buckets at most; with one more, each two neighbours become one of twice the width.
const BUCKETS_MAX: usize = 512;

/// Counts since the start in buckets of equal width, 512 at most: of a run of any length there are 256 or more, once it has
/// lasted for that many.
///
/// An [`Observer`]. Call [`History::look`] once more when the run has ended.
#[derive(Clone, Debug)]
pub struct History {
    started_ns: u64,
    width_ns: u64,
    buckets: Vec<Bucket>,
    lifetimes: Durations,
}

/// What happened during a bucket, and what was at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Memcgs that came online.
    pub born: u64,
    /// Memcgs that went offline: dying from then on.
    pub died: u64,
    /// Memcgs that were freed.
    pub freed: u64,
    /// Memcgs that could not be allocated.
    pub alloc_failed: u64,
    /// Events that were lost and firings that were missed, as of when that was noticed.
    pub lost: u64,
    /// Memcgs that are dying at its end, those leaked and those from before the start included.
    pub dying: u64,
    pub leaked: u64,
    /// Memcg IDs in use; `None`: not known.
    pub ids_used: Option<u64>,
    /// What the dying memcgs are charged for, in pages, charges of descendants once; `None`: not known for all.
    pub charged_pages: Option<u64>,
    /// A walk has found by then what was there at the start.
    pub walked: bool,
}

impl History {
    /// `started_ns` (`CLOCK_MONOTONIC`): the beginning of the first bucket. Buckets are `width_ns` wide until there are too
    /// many.
    pub fn new(started_ns: u64, width_ns: u64) -> Self {
        Self { started_ns, width_ns: width_ns.max(1), buckets: Vec::new(), lifetimes: Durations::default() }
    }

    /// Takes in the changes of the last step, and the state right after them.
    pub fn look(&mut self, book: &Book, changes: &[Change]) {
        for change in changes {
            if let What::Freed { dying_ns, .. } = change.what {
                self.lifetimes.add(dying_ns);
            }
        }
        let bucket = self.bucket_at(book.now_ns());
        changes.iter().for_each(|change| bucket.count(&change.what));
        bucket.take(book.tracker());
    }

    /// `CLOCK_MONOTONIC`, ns
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Of each bucket, ns.
    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// For how long the memcgs were dying that were freed.
    pub fn lifetimes(&self) -> &Durations {
        &self.lifetimes
    }

    /// The same in at most so many buckets.
    pub fn at_most(mut self, buckets: usize) -> Self {
        while self.buckets.len() > buckets.max(1) {
            self.double();
        }
        self
    }

    /// In order of time, without a gap; the last one may not be over yet.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The bucket of a time; of one that is over, the last: time does not go back.
    fn bucket_at(&mut self, now_ns: u64) -> &mut Bucket {
        let since_ns = now_ns.saturating_sub(self.started_ns);
        while since_ns / self.width_ns >= BUCKETS_MAX as u64 {
            self.double();
        }
        // Less than BUCKETS_MAX.
        let place = (since_ns / self.width_ns) as usize;
        let state = self.buckets.last().map(Bucket::unchanged).unwrap_or_default();
        let count = self.buckets.len().max(place + 1);
        self.buckets.resize(count, state);
        &mut self.buckets[count - 1]
    }

    fn double(&mut self) {
        self.width_ns = self.width_ns.saturating_mul(2);
        self.buckets =
            self.buckets.chunks(2).filter_map(|pair| pair.iter().copied().reduce(Bucket::then)).collect();
    }
}

impl Bucket {
    fn count(&mut self, what: &What) {
        match what {
            What::Online(_) => self.born += 1,
            What::Offline(_) => self.died += 1,
            What::Freed { .. } | What::Reconciled { found: Found::Freed, .. } => self.freed += 1,
            What::AllocFailed { .. } => self.alloc_failed += 1,
            What::Lost { events: lost, .. } | What::Missed { firings: lost, .. } => {
                self.lost = self.lost.saturating_add(*lost);
            }
            What::Removed(_)
            | What::Released(_)
            | What::CssFreed(_)
            | What::Leaked(_)
            | What::Outage(_)
            | What::Reconciled { found: Found::Added, .. } => {}
        }
    }

    fn take(&mut self, tracker: &Tracker) {
        (self.dying, self.leaked) = (tracker.totals().dying, tracker.totals().leaked);
        (self.ids_used, self.charged_pages) = (tracker.ids_used(), tracker.charged_to_dying());
        self.walked = tracker.has_walked();
    }

    /// The same state, and nothing that happened.
    fn unchanged(&self) -> Self {
        Self { born: 0, died: 0, freed: 0, alloc_failed: 0, lost: 0, ..*self }
    }

    /// This one and the next as one.
    fn then(self, next: Self) -> Self {
        Self {
            born: self.born + next.born,
            died: self.died + next.died,
            freed: self.freed + next.freed,
            alloc_failed: self.alloc_failed + next.alloc_failed,
            lost: self.lost.saturating_add(next.lost),
            ..next
        }
    }
}

impl Observer for History {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        self.look(book, changes);
        Ok(())
    }

    fn tick(&mut self, book: &Book) -> Result<ControlFlow<()>> {
        self.look(book, &[]);
        Ok(ControlFlow::Continue(()))
    }
}

impl SlabObserver for History {}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// A birth in each of these seconds.
    fn born_at(seconds: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::new(100 * S, S);
        for second in seconds {
            let bucket = history.bucket_at((100 + second) * S);
            bucket.born += 1;
            bucket.dying = second;
        }
        history
    }

    fn births(history: &History) -> Vec<u64> {
        history.buckets().iter().map(|bucket| bucket.born).collect()
    }

    #[test]
    fn quiet_times_keep_the_state() {
        let history = born_at([0, 0, 1, 5]);
        assert_eq!(births(&history), [2, 1, 0, 0, 0, 1]);
        let dying: Vec<u64> = history.buckets().iter().map(|bucket| bucket.dying).collect();
        assert_eq!(dying, [0, 1, 1, 1, 1, 5]);
    }

    #[test]
    fn time_does_not_go_back() {
        let mut history = born_at([7, 3]);
        history.bucket_at(0).born += 1;
        assert_eq!(births(&history), [0, 0, 0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn it_is_bounded_and_loses_nothing() {
        for last in [511, 512, 513, 5_000, 100_000] {
            let history = born_at(0..=last);
            assert!(history.buckets().len() <= BUCKETS_MAX, "{last}");
            assert!(history.buckets().len() > BUCKETS_MAX / 2 || last < 511, "{last}");
            assert_eq!(births(&history).iter().sum::<u64>(), last + 1);
            // All but the last are of one width.
            let per_bucket = history.width_ns() / S;
            let (_, whole) = history.buckets().split_last().expect("buckets");
            assert!(whole.iter().all(|bucket| bucket.born == per_bucket), "{last}");
            // The state is that at the end of each.
            assert!(
                (0..).zip(whole).all(|(place, bucket)| bucket.dying == (place + 1) * per_bucket - 1),
                "{last}"
            );
        }
    }

    #[test]
    fn fewer_buckets_lose_nothing() {
        let history = born_at(0..=400).at_most(128);
        assert_eq!((history.buckets().len(), history.width_ns()), (101, 4 * S));
        assert_eq!(births(&history).iter().sum::<u64>(), 401);
        assert_eq!(born_at([]).at_most(0).buckets(), []);
    }

    #[test]
    fn no_time_is_too_far() {
        let mut history = born_at([0]);
        history.bucket_at(u64::MAX).born += 1;
        assert!(history.buckets().len() <= BUCKETS_MAX);
        assert_eq!(births(&history).iter().sum::<u64>(), 2);
    }
}
