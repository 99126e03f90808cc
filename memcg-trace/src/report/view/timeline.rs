//! Counts of a run over time.

use crate::session::{Bucket, History};

/// Stretches of time at most: as many as a plot can tell apart.
const STRETCHES_MAX: usize = 128;

/// From the start to the end of a run.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub duration_ns: u64,
    /// In order of time, without a gap.
    pub stretches: Vec<Stretch>,
}

/// What happened between two times, and what was at the second of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Since the start of the run.
    pub from_ns: u64,
    pub to_ns: u64,
    pub born: u64,
    pub died: u64,
    pub freed: u64,
    pub alloc_failed: u64,
    pub lost: u64,
    /// At its end, like the rest.
    pub dying: u64,
    pub leaked: u64,
    /// `None`: not known.
    pub ids_used: Option<u64>,
    /// What the dying memcgs are charged for; `None`: not known for all.
    pub charged_bytes: Option<u64>,
    /// What was there at the start was not known yet: a walk found it later.
    pub before_walk: bool,
}

impl Timeline {
    pub fn new(history: &History, duration_ns: u64, page_bytes: u64) -> Self {
        let history = history.clone().at_most(STRETCHES_MAX);
        let width_ns = history.width_ns();
        let walked = history.buckets().iter().any(|bucket| bucket.walked);
        let stretch = |(from_ns, bucket): (u64, &Bucket)| Stretch {
            from_ns,
            to_ns: from_ns.saturating_add(width_ns).min(duration_ns),
            born: bucket.born,
            died: bucket.died,
            freed: bucket.freed,
            alloc_failed: bucket.alloc_failed,
            lost: bucket.lost,
            dying: bucket.dying,
            leaked: bucket.leaked,
            ids_used: bucket.ids_used,
            charged_bytes: bucket.charged_pages.map(|pages| pages.saturating_mul(page_bytes)),
            before_walk: walked && !bucket.walked,
        };
        let from = (0..).map(|place: u64| place.saturating_mul(width_ns));
        let mut stretches: Vec<Stretch> = from.zip(history.buckets()).map(stretch).collect();
        // What is left of the last bucket says little on its own, least of all as a rate.
        if let [.., before, last] = stretches.as_mut_slice()
            && last.to_ns.saturating_sub(last.from_ns) < width_ns / 2
        {
            *before = before.then(*last);
            stretches.pop();
        }
        Self { duration_ns, stretches }
    }

    pub fn sum(&self, of: impl Fn(&Stretch) -> u64) -> u64 {
        self.stretches.iter().map(of).sum()
    }

    /// The highest, and the last.
    pub fn peak(&self, of: impl Fn(&Stretch) -> Option<u64>) -> Option<u64> {
        self.stretches.iter().filter_map(of).max()
    }
}

impl Stretch {
    fn then(self, next: Self) -> Self {
        Self {
            from_ns: self.from_ns,
            born: self.born + next.born,
            died: self.died + next.died,
            freed: self.freed + next.freed,
            alloc_failed: self.alloc_failed + next.alloc_failed,
            lost: self.lost.saturating_add(next.lost),
            ..next
        }
    }

    /// A count of it, a second.
    pub fn rate(&self, count: u64) -> f64 {
        match self.to_ns.saturating_sub(self.from_ns) {
            0 => 0.0,
            ns => count as f64 * 1e9 / ns as f64,
        }
    }
}
