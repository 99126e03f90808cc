//! How many memcg IDs are left, and for how long.

use std::collections::VecDeque;

use crate::event::ID_LIMIT;

/// Distance between two samples, ns.
const SAMPLE_NS: u64 = 1_000_000_000;
/// How far the forecast looks back, ns.
const WINDOW_NS: u64 = 300_000_000_000;
/// It says nothing about a shorter time than this, ns.
const SHORTEST_NS: u64 = 10_000_000_000;

/// The memcg IDs of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// IDs in use; `None`: how many there were at the start is not known. IDs that were held by memcgs already dying at
    /// the start are not in it.
    pub used: Option<u64>,
    /// IDs that exist.
    pub limit: u64,
    /// Of those used, IDs held by dying memcgs; `None`: the backend cannot see it.
    pub held_by_dying: Option<u64>,
    /// Time until all are used if it goes on as in the last five minutes, ns; `None`: not growing, or not known.
    pub exhausted_in_ns: Option<u64>,
}

/// Samples of the number of IDs used: at most one a second, at most five minutes.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    samples: VecDeque<(u64, u64)>,
}

impl Forecast {
    pub fn sample(&mut self, now_ns: u64, used: u64) {
        if self.samples.back().is_some_and(|&(last_ns, _)| now_ns < last_ns.saturating_add(SAMPLE_NS)) {
            return;
        }
        self.samples.push_back((now_ns, used));
        while self.samples.front().is_some_and(|&(first_ns, _)| now_ns - first_ns > WINDOW_NS) {
            self.samples.pop_front();
        }
    }

    /// Time from the last sample until `ID_LIMIT` is reached, ns.
    pub fn exhausted_in_ns(&self) -> Option<u64> {
        let (&(first_ns, first), &(last_ns, last)) = (self.samples.front()?, self.samples.back()?);
        let span_ns = last_ns - first_ns;
        let growth = last.checked_sub(first).filter(|&growth| growth > 0)?;
        if span_ns < SHORTEST_NS {
            return None;
        }
        let left = ID_LIMIT.saturating_sub(last);
        u64::try_from(u128::from(left) * u128::from(span_ns) / u128::from(growth)).ok()
    }
}
