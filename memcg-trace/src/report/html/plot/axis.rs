//! Ticks of axes, and labels that do not overlap.

use super::measure;
use crate::units::{Count, Size, Time};

/// What an axis measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisUnit {
    Count,
    Bytes,
    /// Events a second.
    Rate,
}

/// Text of plots, in their units: at their usual size, pixels.
pub const FONT: f64 = 12.0;
/// Between two labels, at least.
const GAP: f64 = 10.0;
/// Between ticks of time, at most: more is hard to read, however much room there is.
const INTERVALS_MAX: u64 = 9;
/// Values that an axis is divided by.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl AxisUnit {
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Count => Count(value.round() as u64).to_string(),
            Self::Bytes => Size { bytes: value.round() as u64 }.to_string(),
            Self::Rate if value >= 100.0 || value.fract() == 0.0 => Count(value.round() as u64).to_string(),
            Self::Rate if value >= 1.0 => format!("{value:.1}"),
            Self::Rate => format!("{value:.2}"),
        }
    }

    /// From 0 to `most` or a little above, in at most `intervals` equal steps.
    pub fn ticks(self, most: f64, intervals: usize) -> Vec<f64> {
        let most = if most.is_finite() { most.max(0.0) } else { 0.0 };
        let intervals = intervals.max(1) as f64;
        let step = self.steps().find(|step| most <= step * intervals).unwrap_or(most);
        let count = (most / step).ceil().max(1.0) as usize;
        (0..=count).map(|tick| tick as f64 * step).collect()
    }

    fn steps(self) -> Box<dyn Iterator<Item = f64>> {
        let decades = |from: i32| {
            let of = |decade: i32| STEPS.map(|step| step * 10_f64.powi(decade));
            (from..20).flat_map(of)
        };
        match self {
            Self::Count => Box::new(decades(0)),
            Self::Rate => Box::new(decades(-2)),
            // 1, 2, 4 … 512 of each unit.
            Self::Bytes => Box::new((0..64).map(|power| 2_f64.powi(power))),
        }
    }
}

/// Times between ticks, ns: what a clock shows.
const TIME_STEPS: [u64; 27] = {
    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;
    const M: u64 = 60 * S;
    const H: u64 = 60 * M;
    const D: u64 = 24 * H;
    [
        MS,
        10 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        M,
        2 * M,
        5 * M,
        10 * M,
        15 * M,
        30 * M,
        H,
        2 * H,
        6 * H,
        12 * H,
        D,
        2 * D,
        7 * D,
        30 * D,
        360 * D,
    ]
};

/// `1m`, where [`Time`] has `1m0s`.
pub fn short_time(ns: u64) -> String {
    let time = Time { ns }.to_string();
    match ["m0s", "h0m", "d0h"].iter().any(|end| time.ends_with(end)) {
        true => time[..time.len() - 2].to_owned(),
        false if ns == 0 => "0".to_owned(),
        false => time,
    }
}

/// A label of a horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    /// Empty: there is no room for it.
    pub text: String,
    /// Where its text begins.
    pub left: f64,
}

/// Labels at these places, each in the middle of its place or as near to it as `left` and `right` allow. Where not all of them
/// have room, every second, third … has a text.
pub fn place(labels: &[(f64, String)], left: f64, right: f64) -> Vec<Tick> {
    let wide = |text: &str| measure::width(text, FONT);
    let placed = |(at, text): &(f64, String)| {
        let width = wide(text);
        Tick { at: *at, text: text.clone(), left: (at - width / 2.0).min(right - width).max(left) }
    };
    let all: Vec<Tick> = labels.iter().map(placed).collect();
    let fits = |every: usize| {
        let shown: Vec<&Tick> = all.iter().step_by(every).collect();
        shown.windows(2).all(|pair| pair[0].left + wide(&pair[0].text) + GAP <= pair[1].left)
    };
    let every = (1..all.len()).find(|every| fits(*every)).unwrap_or(all.len().max(1));
    let keep = |(place, tick): (usize, Tick)| match place % every {
        0 => tick,
        _ => Tick { text: String::new(), ..tick },
    };
    all.into_iter().enumerate().map(keep).collect()
}

/// Times from 0 to `span_ns`, in steps of which all labels have room between `left` and `right`.
pub fn time_ticks(span_ns: u64, left: f64, right: f64) -> Vec<Tick> {
    let span = span_ns.max(1);
    let labels = |step: u64| -> Vec<(f64, String)> {
        let at = |ns: u64| left + (right - left) * ns as f64 / span as f64;
        (0..=span / step).map(|tick| (at(tick * step), short_time(tick * step))).collect()
    };
    let sparse = TIME_STEPS.into_iter().filter(|step| span / step <= INTERVALS_MAX);
    let placed = sparse.map(|step| place(&labels(step), left, right));
    let whole = |ticks: &Vec<Tick>| ticks.iter().all(|tick| !tick.text.is_empty());
    placed.into_iter().find(whole).unwrap_or_else(|| place(&labels(span), left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_begins_at_zero_and_has_room_for_all() {
        let mosts = [0.0, 1.0, 3.0, 4.0, 7.0, 65_535.0, 1e9, f64::NAN, u64::MAX as f64];
        for unit in [AxisUnit::Count, AxisUnit::Bytes, AxisUnit::Rate] {
            for most in mosts {
                let ticks = unit.ticks(most, 4);
                assert_eq!(ticks[0], 0.0);
                assert!((2..=5).contains(&ticks.len()), "{unit:?} {most}: {ticks:?}");
                assert!(most.is_nan() || most <= ticks[ticks.len() - 1], "{unit:?} {most}: {ticks:?}");
                let mut texts: Vec<String> = ticks.iter().map(|tick| unit.show(*tick)).collect();
                texts.dedup();
                assert_eq!(texts.len(), ticks.len(), "{unit:?} {most}: {texts:?}");
            }
        }
        assert_eq!(AxisUnit::Count.ticks(3.0, 4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(AxisUnit::Bytes.ticks(2_162_688.0, 4).last(), Some(&3_145_728.0));
        let rates = AxisUnit::Rate.ticks(0.7, 4).into_iter().map(|tick| AxisUnit::Rate.show(tick));
        assert_eq!(rates.collect::<Vec<_>>(), ["0", "0.20", "0.40", "0.60", "0.80"]);
    }

    #[test]
    fn times_are_round_and_do_not_overlap() {
        let table = [
            (8_247_270_387, vec!["0", "1s", "2s", "3s", "4s", "5s", "6s", "7s", "8s"]),
            (300_000_000_000, vec!["0", "1m", "2m", "3m", "4m", "5m"]),
            (86_400_000_000_000, vec!["0", "6h", "12h", "18h", "1d"]),
        ];
        for (span_ns, expected) in table {
            let texts: Vec<String> =
                time_ticks(span_ns, 40.0, 620.0).into_iter().map(|tick| tick.text).collect();
            assert_eq!(texts, expected);
        }
        let spans = (0..64).map(|power| 1_u64 << power).chain([0, 61_000_000_000, u64::MAX]);
        for span_ns in spans {
            for (left, right) in [(40.0, 330.0), (90.0, 620.0)] {
                let ticks = time_ticks(span_ns, left, right);
                assert!(!ticks.is_empty());
                do_not_overlap(&ticks, left, right);
            }
        }
    }

    #[test]
    fn some_labels_go_where_not_all_have_room() {
        let labels: Vec<(f64, String)> = (0..12).map(|n| (f64::from(n) * 25.0, format!("{n}0m"))).collect();
        let ticks = place(&labels, 0.0, 275.0);
        let shown: Vec<&str> = ticks.iter().map(|tick| &*tick.text).filter(|text| !text.is_empty()).collect();
        assert_eq!(shown, ["00m", "30m", "60m", "90m"]);
        do_not_overlap(&ticks, 0.0, 275.0);
        assert_eq!(place(&[], 0.0, 10.0), []);
    }

    fn do_not_overlap(ticks: &[Tick], left: f64, right: f64) {
        let shown: Vec<&Tick> = ticks.iter().filter(|tick| !tick.text.is_empty()).collect();
        let end = |tick: &Tick| tick.left + measure::width(&tick.text, FONT);
        assert!(shown.windows(2).all(|pair| end(pair[0]) < pair[1].left), "{ticks:?}");
        assert!(shown.iter().all(|tick| tick.left >= left && end(tick) <= right + 0.01), "{ticks:?}");
    }
}
