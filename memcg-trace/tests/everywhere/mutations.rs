//! `verify` with a wrong witness: it must not claim what it does not know.
//!
//! The hooks, the kernel and the scenarios are real. Between the hooks and the ledger, or between the kernel and the
//! comparison, there is a liar. tests/verify/judging.rs has more of them, without a kernel.

use std::{thread, time::Duration};

use anyhow::Result;
use memcg_trace::{
    commands::verify::{
        oracle::{Dying, KernelOracle, Oracle},
        round::{Round, Settings},
        witness::Witness,
    },
    kernel::{Kernel, cgroupfs::cgroup::Cgroup},
    record::{Clock, Record},
    scenarios::stage::Stage,
    source::{Feed, Polled, Stream, Wanted},
    verdict::{Counted, ScenarioName, Verdict, judge},
};
use memcg_trace_common::Hook;

use crate::support::machine;

/// One that every kernel frees, and one that none does.
const SCENARIOS: [ScenarioName; 2] = [ScenarioName::Churn, ScenarioName::UnreapedTask];
const SETTINGS: Settings =
    Settings { cgroups: 3, settle: Duration::from_secs(2), agree: Duration::from_millis(200) };

/// The lies.
#[derive(Clone, Copy)]
struct Liar {
    what: &'static str,
    /// Whether the ledger gets a record, by its number.
    hears: fn(&Record, u64) -> bool,
    /// Changes the kernel's counts.
    counts: fn(Counted) -> Counted,
    /// Verdicts on [`SCENARIOS`].
    verdicts: [Verdict; 2],
}

fn of(record: &Record, hooks: &[Hook]) -> bool {
    matches!(record, Record::Event(event) if hooks.contains(&event.hook()))
}

use Verdict::{Clean, Inconclusive, Leak};

const HONEST: Liar =
    Liar { what: "nothing", hears: |_, _| true, counts: |counted| counted, verdicts: [Clean, Leak] };

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

/// Verdicts on [`SCENARIOS`], and their reasons.
fn play(kernel: &Kernel, liar: &Liar) -> Result<Vec<(Verdict, Option<String>)>> {
    let stage = Stage::new(&kernel.controller)?;
    let clock = Clock { boottime_offset_ns: 0, realtime_offset_ns: 0 };
    let wanted = Wanted { backend: None, perf_pages: Some(64), walk: true, grace_ns: u64::MAX, clock };
    let oracle = Faked { kernel: KernelOracle::new(kernel), counts: liar.counts };
    let (stream, start) = Stream::open(kernel, &wanted)?;
    let witness = Witness::new(Deaf { stream, hears: liar.hears, heard: 0 }, start);
    let interrupted = || Ok(());
    let say = &mut |_: &str| ();
    let round = Round { stage: &stage, witness, oracle, settings: SETTINGS, interrupted, say };
    let evidence = round.play(&SCENARIOS)?;
    let judgements = evidence.iter().map(|evidence| judge(evidence, SETTINGS.settle));
    Ok(judgements.map(|judgement| (judgement.verdict, judgement.reason)).collect())
}

#[test]
fn mutations_of_the_witnesses() {
    let _machine = machine();
    // A thread of its own: a stage takes its thread into a mount namespace for good.
    let thread = thread::spawn(|| {
        let kernel = Kernel::probe(None).expect("what every command needs");
        for liar in LIARS {
            let seen = play(&kernel, liar).unwrap_or_else(|error| panic!("{}: {error:#}", liar.what));
            let verdicts: Vec<Verdict> = seen.iter().map(|(verdict, _)| *verdict).collect();
            assert_eq!(verdicts, liar.verdicts, "{}: {seen:?}", liar.what);
        }
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
