//! For how long the memcg IDs will last.
//!
//! Pods come and go, and with them IDs: what counts is what stays. The time that was watched is cut into [`PARTS`], and each part
//! is taken for the fewest IDs that were in use during it. Only if that floor rises from every part to the next, and by more
//! than the IDs come and go within a part, there is a trend. A node that starts its pods once has a step and no trend.

use std::{collections::VecDeque, ops::Range};

use super::ID_LIMIT;

/// Distance between two samples, ns.
const SAMPLE_NS: u64 = 1_000_000_000;
/// How far the forecast looks back, ns.
const WINDOW_NS: u64 = 300_000_000_000;
/// It says nothing about a shorter time than this, ns.
const SHORTEST_NS: u64 = 10_000_000_000;
/// A chance order of five floors is a rising one in 1 of 120 cases.
const PARTS: u64 = 5;
/// IDs that a floor must rise by: a login or a few services that start one by one are no leak.
const LEAST_GROWTH: u64 = 10;

/// If it goes on as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// Time from the last sample until all IDs are used, ns.
    pub in_ns: u64,
    /// The time that the trend was seen for, ns.
    pub seen_for_ns: u64,
}

/// Samples of the number of IDs used: at most one a second, at most five minutes.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    /// (time, IDs used)
    samples: VecDeque<(u64, u64)>,
}

/// What a part of the samples shows.
struct Usage {
    fewest: u64,
    most: u64,
}

impl Forecast {
    /// (time, IDs used), oldest first.
    pub fn of(samples: &[(u64, u64)]) -> Self {
        Self { samples: samples.iter().copied().collect() }
    }

    pub fn sample(&mut self, now_ns: u64, used: u64) {
        if self.samples.back().is_some_and(|&(last_ns, _)| now_ns < last_ns.saturating_add(SAMPLE_NS)) {
            return;
        }
        self.samples.push_back((now_ns, used));
        while self.samples.front().is_some_and(|&(first_ns, _)| now_ns.saturating_sub(first_ns) > WINDOW_NS) {
            self.samples.pop_front();
        }
    }

    /// The ledger learnt of memcgs otherwise than by their coming and going: what was counted before does not compare.
    pub fn restart(&mut self) {
        self.samples.clear();
    }

    /// (time, IDs used), oldest first.
    pub fn samples(&self) -> impl Iterator<Item = (u64, u64)> {
        self.samples.iter().copied()
    }

    /// `None`: no trend, or not for long enough.
    pub fn exhaustion(&self) -> Option<Exhaustion> {
        let (&(first_ns, _), &(last_ns, used)) = (self.samples.front()?, self.samples.back()?);
        let seen_for_ns = last_ns.saturating_sub(first_ns);
        if seen_for_ns < SHORTEST_NS {
            return None;
        }
        let start = |part: u64| first_ns + seen_for_ns * part / PARTS;
        let parts = (0..PARTS).map(|part| self.part(start(part)..start(part + 1)));
        let parts: Vec<Usage> = parts.collect::<Option<_>>()?;
        let rises = parts.windows(2).all(|pair| pair[0].fewest < pair[1].fewest);
        let growth = parts.last()?.fewest.checked_sub(parts.first()?.fewest)?;
        let steps = PARTS - 1;
        let noise = parts.iter().map(|part| (part.most - part.fewest).saturating_sub(growth.div_ceil(steps)));
        if !rises || growth < LEAST_GROWTH || noise.max()? >= growth {
            return None;
        }
        let left = u128::from(ID_LIMIT.saturating_sub(used));
        let growth_ns = u128::from(seen_for_ns) * u128::from(steps) / u128::from(PARTS);
        let in_ns = u64::try_from(left * growth_ns / u128::from(growth)).ok()?;
        Some(Exhaustion { in_ns, seen_for_ns })
    }

    /// `None`: not one sample.
    fn part(&self, time_ns: Range<u64>) -> Option<Usage> {
        let of_part = self.samples.iter().filter(|(t_ns, _)| time_ns.contains(t_ns)).map(|&(_, used)| used);
        Some(Usage { fewest: of_part.clone().min()?, most: of_part.max()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IDs in use in each second.
    fn exhaustion(used: impl IntoIterator<Item = u64>) -> Option<Exhaustion> {
        let mut forecast = Forecast::default();
        for (second, used) in (1..).zip(used) {
            forecast.sample(second * SAMPLE_NS, used);
        }
        forecast.exhaustion()
    }

    /// In seconds.
    fn seconds(used: impl IntoIterator<Item = u64>) -> Option<(u64, u64)> {
        exhaustion(used).map(|Exhaustion { in_ns, seen_for_ns }| (in_ns / SAMPLE_NS, seen_for_ns / SAMPLE_NS))
    }

    /// Never twice the same in a row, and no trend.
    fn churn(second: u64, ids: u64) -> u64 {
        second.wrapping_mul(2_654_435_761) / 7 % (ids + 1)
    }

    #[test]
    fn what_stays_is_a_trend() {
        assert_eq!(seconds((0..=20).map(|second| 64_535 + 10 * second)), Some((80, 20)));
        // 60 IDs come and go while one a second stays.
        let (in_s, seen_for_s) =
            seconds((0..=300).map(|second| 300 + second + churn(second, 60))).expect("a trend");
        assert_eq!(seen_for_s, 300);
        assert!((50_000..80_000).contains(&in_s), "{in_s}");
        // One in six seconds.
        assert!(seconds((0..=300).map(|second| 300 + second / 6)).is_some());
    }

    #[test]
    fn what_comes_and_goes_is_none() {
        let minutes = 0..=300;
        assert_eq!(seconds(minutes.clone().map(|_| 301)), None, "nothing grows");
        for ids in [1, 3, 60, 500] {
            assert_eq!(
                seconds(minutes.clone().map(|second| 301 + churn(second, ids))),
                None,
                "{ids} come and go"
            );
        }
        assert_eq!(seconds(minutes.clone().map(|second| if second < 5 { 100 } else { 400 })), None, "a step");
        assert_eq!(seconds(minutes.clone().map(|second| 300 + second / 60)), None, "a service now and then");
        assert_eq!(seconds(minutes.clone().map(|second| 1_000 - second)), None, "they shrink");
        // A job of 200 in its second half.
        let job = minutes.map(|second| 300 + second / 30 + if second > 150 { second % 200 } else { 0 });
        assert_eq!(seconds(job), None, "less than what comes and goes");
    }

    #[test]
    fn ten_more_are_a_trend() {
        let floors =
            |ids: [u64; 5]| seconds((0..=50).map(|second: usize| 300 + ids[(second / 10).min(4)])).is_some();
        let table = [([0, 3, 5, 8, 10], true), ([0, 3, 5, 8, 9], false), ([0, 3, 3, 8, 20], false)];
        for (ids, trend) in table {
            assert_eq!(floors(ids), trend, "{ids:?}");
        }
    }

    #[test]
    fn samples_are_a_second_apart_and_of_five_minutes() {
        let mut forecast = Forecast::default();
        for tenth in 0..=3_500 {
            forecast.sample(tenth * SAMPLE_NS / 10, tenth);
        }
        let samples: Vec<_> = forecast.samples().collect();
        assert_eq!(samples.len(), 301);
        assert_eq!((samples[0], samples[1]), ((50 * SAMPLE_NS, 500), (51 * SAMPLE_NS, 510)));
        assert_eq!(samples[300], (350 * SAMPLE_NS, 3_500));
    }

    #[test]
    fn a_moment_tells_nothing() {
        assert_eq!(exhaustion([]), None);
        assert_eq!(seconds((0..10).map(|second| 300 + 100 * second)), None);
        // Ten seconds with a sample at both ends alone.
        let mut forecast = Forecast::default();
        forecast.sample(0, 300);
        forecast.sample(SHORTEST_NS, 800);
        assert_eq!(forecast.exhaustion(), None);
    }

    #[test]
    fn only_what_was_counted_alike_compares() {
        let mut forecast = Forecast::default();
        for second in 0..=20 {
            forecast.sample(second * SAMPLE_NS, 10 * second);
        }
        assert!(forecast.exhaustion().is_some());
        forecast.restart();
        assert_eq!(forecast.exhaustion(), None);
    }

    #[test]
    fn it_looks_back_five_minutes() {
        let grew_then_stayed = (0..=700).map(|second| 300 + 10 * second.min(100));
        assert_eq!(exhaustion(grew_then_stayed), None);
    }
}
