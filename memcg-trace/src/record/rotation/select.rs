//! Which recordings are read to show a time.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::record::{Start, recording::TimeWindow};

/// The recordings that are read, in order, and the part of them that is shown. All are of one boot: clocks, addresses and
/// serial numbers mean something else in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentChoice<F> {
    pub files: Vec<F>,
    pub window: TimeWindow,
    /// When the first of them began.
    pub began: Timestamp,
    /// What there is from before, if it was asked for.
    pub before: Option<Before>,
}

/// The reason why older recordings are not shown with younger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// They are of another boot of the node.
    OtherBoot,
    /// Without a walk it is not known what became of the memcgs between one run and the next.
    NoWalk,
}

/// Chooses among recordings in any order. `None`: none had begun by `until`.
pub fn choose<F>(
    parts: Vec<(F, Start)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Option<SegmentChoice<F>> {
    let mut parts = in_order(parts);
    parts.truncate(parts.iter().rposition(|(_, start)| until.is_none_or(|until| began(start) <= until))? + 1);
    let mut first = parts.len() - 1;
    let mut before = None;
    while first > 0 && since.is_none_or(|since| since < began(&parts[first].1)) {
        before = separated(&parts[first - 1].1, &parts[first].1);
        if before.is_some() {
            break;
        }
        first -= 1;
    }
    let parts = parts.split_off(first);
    let ((_, first), (_, last)) = (parts.first()?, parts.last()?);
    let window = TimeWindow {
        since_ns: since.filter(|since| *since > began(first)).map(|since| monotonic_ns(since, first)),
        until_ns: until.map(|until| monotonic_ns(until, last)),
        grows: false,
    };
    let began = began(first);
    Some(SegmentChoice { window, began, before, files: parts.into_iter().map(|(file, _)| file).collect() })
}

/// By boot, and in it by time.
fn in_order<F>(mut parts: Vec<(F, Start)>) -> Vec<(F, Start)> {
    let mut boots: HashMap<Option<String>, Timestamp> = HashMap::new();
    for (_, start) in &parts {
        let booted = boots.entry(start.boot_id.clone()).or_insert(Timestamp::MAX);
        *booted = began(start).min(*booted);
    }
    parts.sort_by_cached_key(|(_, start)| {
        let number = start.segment.map(|segment| segment.number);
        (boots.get(&start.boot_id).copied(), start.boot_id.clone(), start.started_ns, number)
    });
    parts
}

fn began(start: &Start) -> Timestamp {
    start.clock.utc(start.started_ns)
}

fn monotonic_ns(time: Timestamp, start: &Start) -> u64 {
    let ns = time.as_nanosecond() - i128::from(start.clock.realtime_offset_ns);
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}

/// `None`: what is known at the end of one holds for the other.
fn separated(one: &Start, next: &Start) -> Option<Before> {
    if !one.is_of_same_boot(next) {
        return Some(Before::OtherBoot);
    }
    let run = |start: &Start| start.segment.map(|segment| segment.run_ns);
    let known = one.is_walked() && next.is_walked() && one.backend == next.backend;
    (run(one) != run(next) && !known).then_some(Before::NoWalk)
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::WalkLayout;

    use super::*;
    use crate::record::{Backend, Clock, RunSegment};

    /// Of boot 1 or 2, which began at 0:00 and 12:00: minutes after that.
    fn part(boot: u8, run: u64, number: u32, minutes: u64) -> (String, Start) {
        const MINUTE_NS: u64 = 60_000_000_000;
        let booted: Timestamp = if boot == 1 { time("00:00") } else { time("12:00") };
        let realtime_offset_ns = i64::try_from(booted.as_nanosecond()).expect("this century");
        let start = Start {
            kernel: String::new(),
            boot_id: Some(boot.to_string()),
            controller: String::new(),
            backend: Backend::Kprobe,
            backend_reason: None,
            unknown: Vec::new(),
            page_bytes: 4096,
            perf_pages: 64,
            layout: WalkLayout::UNKNOWN,
            clock: Clock { boottime_offset_ns: 0, realtime_offset_ns },
            started_ns: minutes * MINUTE_NS,
            grace_ns: 0,
            live: Some(0),
            dying_unseen: Some(0),
            paths: HashMap::new(),
            segment: Some(RunSegment { run_ns: run, number }),
        };
        (format!("{boot}.{run}.{number}"), start)
    }

    fn time(of_day: &str) -> Timestamp {
        format!("2026-01-14T{of_day}:00Z").parse().expect("a time")
    }

    /// One boot with a run of three and a run of two recordings, another one with one; in no order.
    fn parts() -> Vec<(String, Start)> {
        vec![
            part(2, 9, 0, 10),
            part(1, 2, 0, 240),
            part(1, 1, 1, 60),
            part(1, 1, 0, 1),
            part(1, 2, 1, 300),
            part(1, 1, 2, 120),
        ]
    }

    #[test]
    fn what_covers_a_time_is_read() {
        let all_of_boot_1: &[&str] = &["1.1.0", "1.1.1", "1.1.2", "1.2.0", "1.2.1"];
        let reboot = Some(Before::OtherBoot);
        for (since, until, files, before) in [
            (None, None, &["2.9.0"][..], reboot),
            (Some("12:30"), None, &["2.9.0"], None),
            (Some("03:00"), None, &["2.9.0"], reboot),
            (None, Some("12:00"), all_of_boot_1, None),
            (Some("01:30"), Some("02:30"), &["1.1.1", "1.1.2"], None),
            (Some("02:00"), Some("02:00"), &["1.1.2"], None),
            (Some("03:00"), Some("03:10"), &["1.1.2"], None),
            (Some("03:00"), Some("04:10"), &["1.1.2", "1.2.0"], None),
            (Some("00:00"), Some("00:30"), &["1.1.0"], None),
        ] {
            let chosen = choose(parts(), since.map(time), until.map(time)).expect("some");
            assert_eq!(
                (chosen.files, chosen.before),
                (files.iter().map(|f| (*f).to_owned()).collect(), before),
                "{since:?} to {until:?}"
            );
        }
        assert_eq!(choose(parts(), None, Some(time("00:00"))), None, "nothing had begun");
        assert_eq!(choose(Vec::<(String, Start)>::new(), None, None), None);
    }

    #[test]
    fn the_window_is_in_the_clock_of_the_recordings() {
        let chosen = choose(parts(), Some(time("01:30")), Some(time("04:30"))).expect("some");
        let minutes = |minutes: u64| Some(minutes * 60_000_000_000);
        assert_eq!(chosen.window, TimeWindow { since_ns: minutes(90), until_ns: minutes(270), grows: false });
        let chosen = choose(parts(), Some(time("00:00")), Some(time("00:30"))).expect("some");
        assert_eq!((chosen.window.since_ns, chosen.began), (None, time("00:01")), "nothing is from before");
    }

    #[test]
    fn without_a_walk_a_run_is_on_its_own() {
        let mut parts = parts();
        for (_, start) in &mut parts {
            start.dying_unseen = Some(3);
        }
        let chosen = choose(parts, None, Some(time("06:00"))).expect("some");
        assert_eq!(chosen.files, ["1.2.0", "1.2.1"]);
        assert_eq!(chosen.before, Some(Before::NoWalk));
    }
}
