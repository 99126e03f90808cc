//! `verify` with a wrong witness: it must not claim what it does not know.
//!
//! The hooks, the kernel and the scenarios are real. Between the hooks and the ledger, or between the kernel and the
//! comparison, there is a liar. tests/unprivileged/verify/judging.rs has more of them, without a kernel.

use std::{thread, time::Duration};

use anyhow::Result;
use memcg_trace::{
    cause::{Pin, Pinned},
    commands::verify::{
        explainer::Explainer,
        oracle::{Dying, KernelOracle, Oracle},
        round::{Round, RoundSettings},
        witness::Witness,
    },
    event::Key,
    kernel::{Kernel, cgroupfs::cgroup::Cgroup},
    record::{Clock, Record},
    scenarios::stage::Stage,
    source::{Feed, MemcgPins, Polled, Stream, Wanted},
    verdict::{Counted, Judgement, ScenarioName, Verdict, judge},
};
use memcg_trace_common::Hook;

use crate::support::machine;

/// One that every kernel frees, and one that none does.
const SCENARIOS: [ScenarioName; 2] = [ScenarioName::Churn, ScenarioName::UnreapedTask];
const SETTINGS: RoundSettings =
    RoundSettings { cgroups: 3, settle: Duration::from_secs(2), agree: Duration::from_millis(200) };

/// The lies.
#[derive(Clone, Copy)]
struct Liar {
    what: &'static str,
    /// Whether the ledger gets a record, by its number.
    hears: fn(&Record, u64) -> bool,
    /// Changes the kernel's counts.
    counts: fn(Counted) -> Counted,
    /// What the third witness takes a task for.
    task_is: Pin,
    /// Verdicts on [`SCENARIOS`].
    verdicts: [Verdict; 2],
}

fn of(record: &Record, hooks: &[Hook]) -> bool {
    matches!(record, Record::Event(event) if hooks.contains(&event.hook()))
}

use Verdict::{Clean, Inconclusive, Leak};

const HONEST: Liar = Liar {
    what: "nothing",
    hears: |_, _| true,
    counts: |counted| counted,
    task_is: Pin::Task,
    verdicts: [Clean, Leak],
};

const LIARS: &[Liar] = &[
    HONEST,
    Liar {
        what: "the hook on css_offline (kprobe) or cgroup_rmdir (tracepoint) is not attached",
        hears: |record, _| !of(record, &[Hook::CssOffline, Hook::CssOfflineEnter, Hook::CgroupRmdir]),
        // It is seen to be freed, which is sufficient.
        verdicts: [Clean, Inconclusive],
        ..HONEST
    },
    Liar {
        what: "the hook on css_free or cgroup_release is not attached",
        hears: |record, _| !of(record, &[Hook::CssFree, Hook::CgroupRelease]),
        verdicts: [Inconclusive; 2],
        ..HONEST
    },
    Liar {
        what: "every third record is dropped",
        hears: |_, number| number % 3 != 0,
        verdicts: [Inconclusive; 2],
        ..HONEST
    },
    Liar {
        what: "the kernel is said to have nothing dying",
        counts: |_| Counted { dying_cgroups: Some(0), dying_memcgs: Some(0), ..Counted::default() },
        verdicts: [Clean, Inconclusive],
        ..HONEST
    },
    // It leaks all the same.
    Liar { what: "a task is called a socket", task_is: Pin::Socket, ..HONEST },
];

/// The stream with records left out.
struct Deaf {
    stream: Stream,
    hears: fn(&Record, u64) -> bool,
    heard: u64,
}

impl Deaf {
    fn forget(&mut self, out: &mut Vec<Record>) {
        out.retain(|record| {
            self.heard += 1;
            // What was there before is no part of the lie.
            matches!(record, Record::Walk(_)) || (self.hears)(record, self.heard)
        });
    }
}

impl Feed for Deaf {
    fn poll(&mut self, wants_walk: bool, out: &mut Vec<Record>) -> Result<Polled> {
        let polled = self.stream.poll(wants_walk, out)?;
        self.forget(out);
        Ok(polled)
    }

    fn end(&mut self, out: &mut Vec<Record>) -> Result<u64> {
        let end_ns = self.stream.end(out)?;
        self.forget(out);
        Ok(end_ns)
    }

    fn undecodable(&self) -> u64 {
        self.stream.undecodable()
    }

    fn walk(&mut self, out: &mut Vec<Record>) {
        self.stream.walk(out);
    }
}

/// The kernel's counts, changed.
struct Faked<'a> {
    kernel: KernelOracle<'a>,
    counts: fn(Counted) -> Counted,
}

impl Oracle for Faked<'_> {
    fn count(&mut self, parents: &[&Cgroup], dying: &Dying) -> Result<Vec<Counted>> {
        Ok(self.kernel.count(parents, dying)?.into_iter().map(self.counts).collect())
    }
}

/// What refers to memcgs, changed.
struct Misnamed {
    pins: MemcgPins,
    task_is: Pin,
}

impl Explainer for Misnamed {
    fn explain(&mut self, dying: &[Key]) -> Result<Vec<(Key, Pinned)>> {
        let mut pinned = self.pins.explain(dying)?;
        let by = pinned.iter_mut().flat_map(|(_, pinned)| &mut pinned.by);
        by.filter(|by| by.pin == Pin::Task).for_each(|by| by.pin = self.task_is);
        Ok(pinned)
    }
}

/// Judgements of [`SCENARIOS`].
fn play(kernel: &Kernel, liar: &Liar) -> Result<Vec<Judgement>> {
    let stage = Stage::new(&kernel.controller)?;
    let clock = Clock { boottime_offset_ns: 0, realtime_offset_ns: 0 };
    let wanted = Wanted { backend: None, perf_pages: Some(64), walk: true, grace_ns: u64::MAX, clock };
    let oracle = Faked { kernel: KernelOracle::new(kernel), counts: liar.counts };
    let (stream, start) = Stream::open(kernel, &wanted)?;
    let witness = Witness::new(Deaf { stream, hears: liar.hears, heard: 0 }, start);
    let mut pins = Misnamed { pins: MemcgPins::open(kernel, None)?, task_is: liar.task_is };
    let explainer = Some(&mut pins as &mut dyn Explainer);
    let interrupted = || Ok(());
    let say = &mut |_: &str| ();
    let round = Round { stage: &stage, witness, oracle, explainer, settings: SETTINGS, interrupted, say };
    let evidence = round.play(&SCENARIOS)?;
    Ok(evidence.iter().map(|evidence| judge(evidence, SETTINGS.settle)).collect())
}

#[test]
fn mutations_of_the_witnesses() {
    let _machine = machine();
    // A thread of its own: a stage takes its thread into a mount namespace for good.
    let thread = thread::spawn(|| {
        let kernel = Kernel::probe(None).expect("what every command needs");
        for liar in LIARS {
            let seen = play(&kernel, liar).unwrap_or_else(|error| panic!("{}: {error:#}", liar.what));
            let verdicts: Vec<Verdict> = seen.iter().map(|judgement| judgement.verdict).collect();
            assert_eq!(verdicts, liar.verdicts, "{}: {seen:?}", liar.what);
            let leaks = seen.iter().filter(|judgement| judgement.verdict == Leak);
            for Judgement { pins_as_expected, reason, .. } in leaks {
                let honest = liar.task_is == Pin::Task;
                assert_eq!((*pins_as_expected, reason.is_none()), (Some(honest), honest), "{reason:?}");
            }
        }
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
