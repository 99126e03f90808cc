//! How long memcgs were dying.

/// Upper bounds of the buckets, seconds: what a kernel needs (RCU and a kworker), what writeback needs, and what a leak is.
const BOUNDS_S: [u64; 10] = [1, 5, 15, 30, 60, 300, 900, 3_600, 21_600, 86_400];

/// A histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of each bucket alone; the last one is of all that took longer.
    counts: [u64; BOUNDS_S.len() + 1],
    sum_ns: u128,
}

impl Lifetimes {
    pub fn add(&mut self, ns: u64) {
        let bucket = BOUNDS_S.iter().position(|bound| ns <= bound * 1_000_000_000);
        self.counts[bucket.unwrap_or(BOUNDS_S.len())] += 1;
        self.sum_ns += u128::from(ns);
    }

    /// The upper bound of each bucket in seconds, `None` for the last one, and how many took at most that long.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = BOUNDS_S.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_include_their_bound() {
        let mut lifetimes = Lifetimes::default();
        for seconds in [1, 2, 30, 31, 100_000] {
            lifetimes.add(seconds * 1_000_000_000);
        }
        let counts: Vec<u64> = lifetimes.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 2, 3, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!((lifetimes.count(), lifetimes.sum_seconds()), (5, 100_064.0));
        assert_eq!(lifetimes.buckets().last(), Some((None, 5)));
    }
}
