//! From evidence to a verdict.

use std::time::Duration;

use memcg_trace::{
    cause::{Pin, PinTotal},
    verdict::{
        Counted, Differs, Evidence, Expectation, GoneAfter, LedgerCounts, ParseError, Played, ScenarioName,
        Sign, Verdict, WalkCounts,
    },
};
use proptest::prelude::*;

use super::{LATE, evidence, name, readings, verdict};

const PIN: Option<&str> = Some("the file");

#[test]
fn what_stays_is_a_leak_and_went_after_something() {
    use GoneAfter::{DropCaches, Nothing, PinRemoved, PinRemovedAndDropCaches};
    type Row = (Option<&'static str>, &'static [u64], Verdict, Option<GoneAfter>);
    let table: &[Row] = &[
        (None, &[0], Verdict::Clean, None),
        (PIN, &[0, 0, 0, 0], Verdict::Clean, None),
        (PIN, &[100, 0, 0], Verdict::Leak, Some(DropCaches)),
        (PIN, &[100, 100, 0], Verdict::Leak, Some(PinRemoved)),
        (PIN, &[100, 100, 100, 0], Verdict::Leak, Some(PinRemovedAndDropCaches)),
        (PIN, &[100, 100, 100, 3], Verdict::Leak, Some(Nothing)),
        (PIN, &[1, 1, 0], Verdict::Leak, Some(PinRemoved)),
        (None, &[100, 0], Verdict::Leak, Some(DropCaches)),
        // Nothing of it was pinned by what was taken away.
        (None, &[100, 1, 0], Verdict::Leak, Some(DropCaches)),
        (None, &[100, 100, 100, 0], Verdict::Leak, Some(DropCaches)),
        (None, &[2, 2, 2, 2], Verdict::Leak, Some(Nothing)),
    ];
    for (pin, dying, expected, gone_after) in table {
        let judgement = verdict(&evidence(ScenarioName::Tmpfs, *pin, dying));
        assert_eq!((judgement.verdict, judgement.gone_after), (*expected, *gone_after), "{dying:?}");
        assert_eq!(judgement.stayed, Some(dying[0]));
        assert_eq!(judgement.charged_pages, Some(17 * dying[0]));
        assert_eq!(judgement.reason, None);
    }
}

/// Before the first one is created, its event may still be on its way.
#[test]
fn when_all_are_gone() {
    let table = [
        ([0, 0, 0, 0], false),
        ([1, 0, 0, 0], true),
        ([3, 0, 0, 0], true),
        ([3, 1, 0, 0], false),
        ([3, 0, 1, 0], false),
        ([3, 0, 0, 1], false),
        ([3, 1, 0, 1], false),
    ];
    for (counts, gone) in table {
        let [created, live, removed, dying] = counts;
        let ledger = LedgerCounts { created, live, removed, dying, ..LedgerCounts::default() };
        assert_eq!(ledger.all_gone(), gone, "{counts:?}");
    }
}

#[test]
fn what_uses_up_all_ids_runs_alone() {
    let alone: Vec<_> = ScenarioName::all().iter().filter(|name| name.is_exclusive()).collect();
    assert_eq!(alone, [&ScenarioName::IdExhaustion]);
}

#[test]
fn another_pin_is_told_and_it_is_a_leak_all_the_same() {
    let mut swap = evidence(ScenarioName::Swap, PIN, &[100, 100, 0]);
    assert_eq!((verdict(&swap).pinned_by, verdict(&swap).pins_as_expected), (None, None), "not looked for");
    for (pin, as_expected, reason) in [
        (Pin::Swap, true, None),
        (Pin::Tmpfs, false, Some("explain names no swap for 100 of 100 memcgs, but tmpfs file")),
    ] {
        name(&mut swap, &[Pin::Swap], pin, 1);
        let judgement = verdict(&swap);
        assert_eq!(judgement.verdict, Verdict::Leak);
        assert_eq!(judgement.pins_as_expected, Some(as_expected));
        assert_eq!(judgement.reason.as_deref(), reason);
        assert_eq!(judgement.pinned_by, Some(vec![PinTotal { pin, refs: 100, memcgs: 100 }]));
    }
}

#[test]
fn late_is_neither_clean_nor_a_leak() {
    let mut late = evidence(ScenarioName::Churn, None, &[0]);
    readings(&mut late)[0].waited = LATE + Duration::from_millis(1);
    assert_eq!(verdict(&late).verdict, Verdict::Late);
}

#[test]
fn a_backend_without_ids_takes_them_from_the_walk() {
    let mut swap = evidence(ScenarioName::Swap, PIN, &[100, 100, 0]);
    for reading in readings(&mut swap) {
        reading.ledger.ids_held = None;
        reading.counted.walk.as_mut().expect("a walk").ids_held = Some(99);
    }
    assert_eq!(verdict(&swap).ids_held, Some(99));
}

#[test]
fn signs_that_no_memcg_shows() {
    let table = [
        (Sign::SlabCaches(100), Verdict::Leak),
        (Sign::SlabCaches(2_000), Verdict::Leak),
        (Sign::SlabCaches(99), Verdict::Inconclusive),
        (Sign::IdGone("ENOSPC".to_owned()), Verdict::Leak),
    ];
    for (shown, expected) in table {
        let mut clean = evidence(ScenarioName::SlabCaches, None, &[0]);
        if let Played::Done { sign, .. } = &mut clean.played {
            *sign = Some(shown.clone());
        }
        let judgement = verdict(&clean);
        assert_eq!(judgement.verdict, expected, "{shown:?}");
        assert!(judgement.reason.is_some(), "{shown:?}");
        // Doubt is stronger than a sign.
        clean.loss.push("2 events were lost".to_owned());
        assert_eq!(verdict(&clean).verdict, Verdict::Inconclusive);
    }
}

#[test]
fn neither_skipped_nor_failed_is_a_pass() {
    for (played, expected) in [
        (Played::Skipped("no zram".to_owned()), Verdict::Skipped),
        (Played::Failed("no memory".to_owned()), Verdict::Inconclusive),
    ] {
        let evidence = Evidence { played, ..evidence(ScenarioName::Swap, None, &[]) };
        assert_eq!(verdict(&evidence).verdict, expected);
    }
    assert_eq!(verdict(&evidence(ScenarioName::Swap, None, &[])).verdict, Verdict::Inconclusive);
}

/// Each of these makes one witness say something else, or nothing: a clean scenario and a leak, no verdict on either.
#[test]
fn witnesses_that_disagree() {
    type Mutation = (&'static str, fn(&mut LedgerCounts, &mut Counted));
    let mutations: &[Mutation] = &[
        ("the walk sees one more dying", |_, counted| walk(counted).dying += 1),
        ("the walk sees one online", |_, counted| walk(counted).live += 1),
        ("the walk sees one removed", |_, counted| walk(counted).removed += 1),
        ("the walk sees a stranger", |_, counted| walk(counted).strangers = 1),
        ("one is still online", |ledger, counted| {
            ledger.live += 1;
            walk(counted).live += 1;
        }),
        ("the walk sees an ID held", |_, counted| walk(counted).ids_held = Some(77)),
        ("cgroup.stat counts another cgroup", |_, counted| counted.dying_cgroups = Some(101)),
        ("cgroup.stat counts another memcg", |_, counted| counted.dying_memcgs = Some(101)),
        ("nothing to compare with", |_, counted| *counted = Counted::default()),
        ("only the machine's count", |_, counted| {
            *counted = Counted { dying_anywhere: Some(500), ..Counted::default() };
        }),
        ("a birth was not seen", |ledger, _| ledger.created -= 1),
        ("too many births", |ledger, _| ledger.created += 1),
        ("an end was seen twice", |ledger, _| ledger.freed += 1),
        ("offline was not seen", |ledger, _| {
            ledger.removed += ledger.dying.max(1);
            ledger.dying = 0;
        }),
        ("rmdir was not seen", |ledger, _| ledger.live += 1),
    ];
    for (what, mutate) in mutations {
        for dying in [[0, 0, 0], [100, 100, 0], [100, 0, 0]] {
            for at in 0..dying.len() {
                let mut evidence = evidence(ScenarioName::Tmpfs, PIN, &dying);
                let reading = &mut readings(&mut evidence)[at];
                mutate(&mut reading.ledger, &mut reading.counted);
                let judgement = verdict(&evidence);
                assert_eq!(judgement.verdict, Verdict::Inconclusive, "{what}, reading {at} of {dying:?}");
                assert!(judgement.reason.is_some(), "{what}");
            }
        }
    }
}

fn walk(counted: &mut Counted) -> &mut WalkCounts {
    counted.walk.as_mut().expect("a walk")
}

#[test]
fn memcgs_that_are_dying_without_their_cgroup() {
    let mut toggled = evidence(ScenarioName::ControllerToggle, PIN, &[100, 100, 0]);
    for reading in readings(&mut toggled) {
        reading.ledger.without_directory = 0;
        reading.counted.dying_cgroups = Some(0);
    }
    assert_eq!(verdict(&toggled).verdict, Verdict::Leak);
}

/// v1: fewer cgroups are dying on the whole machine than the ledger claims.
#[test]
fn the_machine_has_fewer() {
    let mut leak = evidence(ScenarioName::Tmpfs, PIN, &[100, 100, 0]);
    for reading in readings(&mut leak) {
        reading.counted.dying_cgroups = None;
        reading.counted.dying_memcgs = None;
        reading.counted.dying_anywhere = Some(120);
    }
    assert_eq!(verdict(&leak).verdict, Verdict::Leak);
    readings(&mut leak)[0].counted.dying_anywhere = Some(100);
    assert_eq!(verdict(&leak).verdict, Verdict::Leak);
    readings(&mut leak)[0].counted.dying_anywhere = Some(99);
    assert_eq!(verdict(&leak).verdict, Verdict::Inconclusive);
}

/// One other witness is enough.
#[test]
fn any_count_is_a_witness() {
    let only: [fn(&mut Counted); 3] = [
        |counted| *counted = Counted { walk: counted.walk, ..Counted::default() },
        |counted| *counted = Counted { dying_cgroups: counted.dying_cgroups, ..Counted::default() },
        |counted| *counted = Counted { dying_memcgs: counted.dying_memcgs, ..Counted::default() },
    ];
    for (number, only) in only.into_iter().enumerate() {
        let mut leak = evidence(ScenarioName::Tmpfs, PIN, &[100, 100, 0]);
        readings(&mut leak).iter_mut().for_each(|reading| only(&mut reading.counted));
        assert_eq!(verdict(&leak).verdict, Verdict::Leak, "witness {number}");
    }
}

/// On 3.10 the css is freed before the memcg, and that is said of a leak.
#[test]
fn css_free_is_not_the_end_everywhere() {
    let mut leak = evidence(ScenarioName::Tmpfs, PIN, &[100, 100, 0]);
    readings(&mut leak)[0].ledger.css_freed = 98;
    let reason = "css_free came for 98, __mem_cgroup_free did not";
    assert_eq!(verdict(&leak).reason.as_deref(), Some(reason));
}

#[test]
fn doubt_says_when() {
    let mut later = evidence(ScenarioName::Tmpfs, PIN, &[0, 0, 0, 0]);
    for (at, moment) in [
        (3, "after drop_caches again"),
        (2, "after the pins were removed"),
        (1, "after drop_caches"),
        (0, "after removal"),
    ] {
        readings(&mut later)[at].counted.dying_cgroups = Some(1);
        let reason = verdict(&later).reason.expect("a reason");
        let differs = "the ledger has 0 dying cgroups, the kernel counts 1 (cgroup.stat)";
        assert_eq!(reason, format!("{moment}, {differs}"));
    }
}

proptest! {
    /// Whatever the witnesses say: a verdict on memcgs needs both to say the same, and CLEAN that none stays.
    #[test]
    fn no_verdict_without_agreement(
        ledger in proptest::array::uniform5(0_u64..3),
        walked in proptest::array::uniform3(0_u64..3),
        cgroups in proptest::option::of(0_u64..3),
        memcgs in proptest::option::of(0_u64..3),
        lost in any::<bool>(),
    ) {
        let [created, freed, live, removed, dying] = ledger;
        let family = LedgerCounts { created, freed, live, removed, dying, without_directory: removed + dying, ids_held: None, css_freed: 0 };
        let mut evidence = evidence(ScenarioName::Churn, None, &[0]);
        let reading = &mut readings(&mut evidence)[0];
        reading.ledger = family;
        let walk = WalkCounts { live: walked[0], removed: walked[1], dying: walked[2], ids_held: None, charged_pages: None, held_bytes_max: None, strangers: 0 };
        reading.counted =
            Counted { dying_cgroups: cgroups, dying_memcgs: memcgs, dying_anywhere: None, walk: Some(walk) };
        if let Played::Done { memcgs, .. } = &mut evidence.played {
            *memcgs = 2;
        }
        if lost {
            evidence.loss.push("1 event was lost".to_owned());
        }
        let stays = removed + dying;
        let sound = !lost && created == 2 && live == 0 && freed + stays == 2
            && (walk.live, walk.removed, walk.dying) == (live, removed, dying)
            && cgroups.is_none_or(|cgroups| cgroups == stays)
            && memcgs.is_none_or(|memcgs| memcgs == dying || memcgs == stays);
        let expected = match (sound, stays) {
            (false, _) => Verdict::Inconclusive,
            (true, 0) => Verdict::Clean,
            (true, _) => Verdict::Leak,
        };
        prop_assert_eq!(verdict(&evidence).verdict, expected);
    }
}

#[test]
fn expectations_of_a_file() {
    let text = "# of 6.12\ntmpfs leak\n\n  swap   LEAK # and the ID\nkmem-limit skipped\n";
    let expectation = Expectation::parse(text).expect("a file");
    let table = [
        (ScenarioName::Tmpfs, Verdict::Leak, Differs::No),
        (ScenarioName::Tmpfs, Verdict::Clean, Differs::Other),
        (ScenarioName::Tmpfs, Verdict::Inconclusive, Differs::Unknown),
        (ScenarioName::Tmpfs, Verdict::Skipped, Differs::Unknown),
        (ScenarioName::KmemLimit, Verdict::Skipped, Differs::No),
        (ScenarioName::KmemLimit, Verdict::Clean, Differs::Other),
        (ScenarioName::Churn, Verdict::Clean, Differs::No),
        (ScenarioName::Churn, Verdict::Late, Differs::Other),
        (ScenarioName::Churn, Verdict::Leak, Differs::Leak),
        (ScenarioName::Churn, Verdict::Skipped, Differs::No),
    ];
    for (name, verdict, differs) in table {
        assert_eq!(expectation.compare(name, false, verdict), differs, "{name} {verdict}");
    }
    assert_eq!(expectation.compare(ScenarioName::Churn, true, Verdict::Skipped), Differs::Unknown);
    let leaks = Expectation::all(Verdict::Leak);
    assert_eq!(leaks.compare(ScenarioName::Churn, false, Verdict::Clean), Differs::Other);
}

#[test]
fn files_that_are_no_expectations() {
    let table = [
        ("tmpfs", ParseError::Form { line: 1 }),
        ("\ntmpfs leak now", ParseError::Form { line: 2 }),
        ("tmpsf leak", ParseError::Scenario { line: 1, name: "tmpsf".to_owned() }),
        ("tmpfs leaks", ParseError::Verdict { line: 1, verdict: "leaks".to_owned() }),
        // Nobody may ask for it.
        ("tmpfs inconclusive", ParseError::Verdict { line: 1, verdict: "inconclusive".to_owned() }),
    ];
    for (text, error) in table {
        assert_eq!(Expectation::parse(text), Err(error), "{text:?}");
    }
}
