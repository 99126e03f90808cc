//! Golden output of every format, the exit code, and a baseline made of it.

use std::{fs, path::Path};

use memcg_trace::{
    cause::Pin,
    commands::verify::exit,
    exit::Exit,
    record::Backend,
    report::{
        html, json, junit, tap,
        text::{self, Color},
        view::{Ground, MatrixColumn, VerdictView, VerifyView},
    },
    verdict::{Baseline, Evidence, Expectation, Played, ScenarioName, Verdict},
};

use super::{evidence, name, readings, verdict};
use crate::compare;

fn ground(kernel: &str) -> Ground {
    Ground {
        kernel: kernel.to_owned(),
        controller: "cgroup v2 at /sys/fs/cgroup".to_owned(),
        backend: Backend::Kprobe,
        backend_reason: None,
        cgroups: 100,
        settle_ns: 10_000_000_000,
        page_bytes: 4096,
    }
}

/// One of each verdict.
fn run() -> Vec<Evidence> {
    let mut swap = evidence(ScenarioName::Swap, Some("the swapped memory"), &[100, 100, 0]);
    for reading in readings(&mut swap) {
        let held = Some(reading.ledger.dying);
        reading.ledger.ids_held = held;
        reading.counted.walk.as_mut().expect("a walk").ids_held = held;
    }
    let mut late = evidence(ScenarioName::Dentries, Some("the directory"), &[0]);
    readings(&mut late)[0].waited = super::SETTLE;
    let skipped = "there is no memory.kmem.limit_in_bytes here: <v1> & \"v1\" alone has it # \u{1b}[2J";
    // The counters of 100 memcgs of which each has a reference, and whose pages have moved to the parent.
    let mut stale = evidence(ScenarioName::PageCache, None, &[100, 0, 0]);
    let walk = readings(&mut stale)[0].counted.walk.as_mut().expect("a walk");
    (walk.charged_pages, walk.held_bytes_max) = (Some(100 * 51_200), Some(100 * (2 << 20)));
    name(&mut stale, &[Pin::File], Pin::Unexplained, 16);
    let lost = Evidence {
        loss: vec!["12 events were lost".to_owned()],
        ..evidence(ScenarioName::Socket, None, &[5])
    };
    let mut tmpfs = evidence(ScenarioName::Tmpfs, Some("the file"), &[100, 100, 0]);
    name(&mut tmpfs, &[Pin::Tmpfs], Pin::Tmpfs, 16);
    vec![
        evidence(ScenarioName::Churn, None, &[0]),
        Evidence {
            played: Played::Skipped(skipped.to_owned()),
            ..evidence(ScenarioName::KmemLimit, None, &[])
        },
        tmpfs,
        stale,
        swap,
        lost,
        late,
    ]
}

fn view(
    evidence: &[Evidence],
    kernel: &str,
    expectation: &Expectation,
    baseline: Option<&Baseline>,
) -> VerifyView {
    let ground = ground(kernel);
    let verdicts = evidence.iter().map(|evidence| {
        let pin = match evidence.played {
            Played::Done { pin, .. } => pin,
            _ => None,
        };
        VerdictView::new(evidence.name, false, pin, verdict(evidence), expectation, &ground)
    });
    VerifyView::new(verdicts.collect(), ground.clone(), baseline)
}

fn as_json(view: &VerifyView) -> Vec<u8> {
    let mut out = Vec::new();
    json::verify(&mut out, view).expect("JSON");
    out
}

#[test]
fn every_format() {
    let expected = Expectation::parse("tmpfs leak\nswap leak").expect("expectations");
    let view = view(&run(), "6.12.117", &expected, None);
    assert_eq!(exit(&view), Exit::Leak, "page-cache leaks and should not");
    let json = as_json(&view);
    compare::check_json(&json);
    compare::compare("verify.jsonl", &json);
    let mut out = Vec::new();
    text::verify(&mut out, &view, Color::Off).expect("text");
    compare::check_text(&out, Color::Off);
    compare::compare("verify.txt", &out);
    let mut out = Vec::new();
    junit::verify(&mut out, &view).expect("XML");
    compare::check_text(&out, Color::Off);
    compare::compare("verify.xml", &out);
    let mut out = Vec::new();
    tap::verify(&mut out, &view).expect("TAP");
    compare::check_text(&out, Color::Off);
    compare::compare("verify.tap", &out);
    let mut out = Vec::new();
    html::verify(&mut out, &[MatrixColumn::of(&view)]).expect("HTML");
    compare::check_text(&out, Color::Off);
    compare::compare("verify.html", &out);
}

/// What a page is made of can be read again from the JSON of the run.
#[test]
fn kernels_side_by_side() {
    let expected = Expectation::default();
    let old = view(&run(), "6.12.117", &expected, None);
    let mut fixed = run();
    fixed[2] = evidence(ScenarioName::Tmpfs, Some("the file"), &[0]);
    fixed.remove(6);
    let new = view(&fixed, "7.1.0-<b>rc1</b>", &expected, None);
    let read = |view: &VerifyView| {
        MatrixColumn::parse(str::from_utf8(&as_json(view)).expect("UTF-8")).expect("output of verify")
    };
    let page = |columns: [MatrixColumn; 2]| {
        let mut page = Vec::new();
        html::verify(&mut page, &columns).expect("HTML");
        String::from_utf8(page).expect("UTF-8")
    };
    let from_json = page([read(&old), read(&new)]);
    assert_eq!(from_json, page([MatrixColumn::of(&old), MatrixColumn::of(&new)]));
    assert!(
        from_json.contains("7.1.0-&lt;b&gt;rc1&lt;/b&gt;") && from_json.contains("not run"),
        "{from_json}"
    );
    // `cargo xtask look` looks at it.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-verdicts.html");
    fs::write(&file, from_json).expect("the page can be written");
}

#[test]
fn the_worst_verdict_decides_the_exit_code() {
    let clean = Expectation::all(Verdict::Clean);
    let of =
        |evidence: Vec<Evidence>, expectation: &Expectation| exit(&view(&evidence, "1", expectation, None));
    let [churn, skipped, tmpfs, cache, swap, lost, late] = run().try_into().expect("seven");
    assert_eq!(of(vec![churn.clone(), skipped.clone()], &clean), Exit::Done);
    assert_eq!(of(vec![churn.clone(), lost.clone()], &clean), Exit::Inconclusive);
    assert_eq!(of(vec![lost.clone(), late.clone()], &clean), Exit::Failed);
    assert_eq!(of(vec![late, lost, cache], &clean), Exit::Leak);
    assert_eq!(of(vec![tmpfs.clone(), swap], &Expectation::all(Verdict::Leak)), Exit::Done);
    assert_eq!(of(vec![tmpfs, churn], &Expectation::all(Verdict::Leak)), Exit::Failed);
}

#[test]
fn changes_since_a_baseline() {
    let expected = Expectation::default();
    let before = as_json(&view(&run(), "6.12.117", &expected, None));
    let baseline = Baseline::parse(str::from_utf8(&before).expect("UTF-8")).expect("a baseline");
    let same = view(&run(), "6.12.118", &expected, Some(&baseline));
    assert_eq!(same.changes.as_ref().map(Vec::len), Some(0), "{:?}", same.changes);

    let mut after = run();
    after[2] = evidence(ScenarioName::Tmpfs, Some("the file"), &[0]);
    after[3] = evidence(ScenarioName::PageCache, None, &[17, 0]);
    after.remove(6);
    after.push(evidence(ScenarioName::Nested, Some("the file"), &[100, 100, 0]));
    let view = view(&after, "7.2.12", &expected, Some(&baseline));
    let changed: Vec<_> = view.changes.iter().flatten().map(|change| change.scenario).collect();
    assert_eq!(changed, [ScenarioName::Tmpfs, ScenarioName::Nested, ScenarioName::Dentries]);
    let mut out = as_json(&view);
    compare::check_json(&out);
    text::verify(&mut out, &view, Color::Off).expect("text");
    compare::compare("verify-changed.txt", &out);
}

#[test]
fn files_that_are_no_baseline() {
    for (text, complaint) in
        [("", "no verdict"), ("{\"type\":\"summary\"}\n", "no verdict"), ("nonsense", "line 1")]
    {
        let error = Baseline::parse(text).expect_err(text).to_string();
        assert!(error.contains(complaint), "{error}");
    }
}
