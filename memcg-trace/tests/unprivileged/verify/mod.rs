//! `verify` without a kernel: evidence into verdicts, verdicts into every format, expectations, baselines.

mod judging;
mod outputs;

use std::time::Duration;

use memcg_trace::{
    cause::{Pin, Pinned, PinnedBy},
    verdict::{
        Counted, Evidence, Judgement, LedgerCounts, Moment, PinsNamed, Played, Reading, ScenarioName,
        WalkCounts, judge,
    },
};

const SETTLE: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(5);

/// Of this many memcgs, so many are dying and so many of these hold their ID.
fn reading(moment: Moment, memcgs: u64, dying: u64, held: u64) -> Reading {
    let waited = if dying == 0 { Duration::from_millis(80) } else { SETTLE };
    Reading {
        moment,
        waited,
        ledger: LedgerCounts {
            created: memcgs,
            freed: memcgs - dying,
            dying,
            without_directory: dying,
            ids_held: Some(held),
            ..LedgerCounts::default()
        },
        counted: Counted {
            dying_cgroups: Some(dying),
            dying_memcgs: Some(dying),
            dying_anywhere: None,
            walk: Some(WalkCounts {
                dying,
                ids_held: Some(held),
                charged_pages: Some(17 * dying),
                held_bytes_max: Some(17 * 4096 * dying),
                ..WalkCounts::default()
            }),
        },
    }
}

/// A scenario of 100 cgroups that was played to its end; how many were dying at each moment.
fn evidence(name: ScenarioName, pin: Option<&'static str>, dying: &[u64]) -> Evidence {
    let moments = [Moment::Removed, Moment::Dropped, Moment::Unpinned, Moment::DroppedAgain];
    let readings = moments.into_iter().zip(dying).map(|(moment, dying)| reading(moment, 100, *dying, 0));
    let played = Played::Done { memcgs: 100, pin, readings: readings.collect(), pins: None, sign: None };
    Evidence { name, cgroups: 100, played, loss: Vec::new() }
}

fn verdict(evidence: &Evidence) -> Judgement {
    judge(evidence, LATE)
}

/// That this many references of each memcg are of that kind.
fn name(evidence: &mut Evidence, expected: &'static [Pin], pin: Pin, refs: u64) {
    let by = vec![PinnedBy { pin, refs, things: 1, what: None, holder: None, holders: 0 }];
    let explained = if pin == Pin::Unexplained { 0 } else { refs };
    let pinned = Pinned { refs, explained, complete: explained == refs, by };
    match &mut evidence.played {
        Played::Done { pins, .. } => *pins = Some(PinsNamed::new(expected, &vec![pinned; 100])),
        other => panic!("not played to its end: {other:?}"),
    }
}

/// What was read, to be changed.
fn readings(evidence: &mut Evidence) -> &mut Vec<Reading> {
    match &mut evidence.played {
        Played::Done { readings, .. } => readings,
        other => panic!("not played to its end: {other:?}"),
    }
}
