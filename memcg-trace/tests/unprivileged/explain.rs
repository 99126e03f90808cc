//! Golden output of `explain`: looks with every kind of pin, through the real ledger, into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged explain` writes the files anew; read the difference before committing it.

use std::collections::HashMap;

use memcg_trace::{
    attribution::{Container, container_of_path},
    cause::{self, FileKind, Look, MapCompared, Referenced, Unread},
    record::{Backend, Snapshot},
    report::{
        json,
        text::{self, Color},
        view::{ExplainBy, ExplainRequest, ExplainView, Explained},
    },
    tracker::{Memcg, Tracker, TrackerConfig},
};
use serde_json::Value;

use crate::{
    compare::{ID, UID, VIEWPOINT, check_json, check_text, compare},
    events::{MS, css, key},
    looks::{every_kind, file, hostile, memcg, moved, open},
};

/// Three dying memcgs: 21 of a container, 22 of a unit, 23 with a hostile name.
fn tracker() -> Tracker {
    let pod = css(10, format!("pod{UID}"));
    let container = css(21, ID).below(&pod);
    let dying = [
        container.walked_dying(),
        css(22, "batch.service").walked_dying(),
        css(23, b"a\x1b[2J").walked_dying(),
    ];
    let events: Vec<_> = [pod.walked()].into_iter().chain(dying).map(|fired| fired.at(9_000)).collect();
    let mut tracker = Tracker::new(TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: u64::MAX,
        live_at_start: Some(0),
        paths: HashMap::new(),
    });
    let snapshot = Snapshot { began_ns: 8_995 * MS, ended_ns: 9_000 * MS, events, ..Snapshot::default() };
    tracker.walked(&snapshot, &mut Vec::new());
    tracker
}

fn container_of(memcg: &Memcg) -> Option<Container> {
    memcg.path.as_deref().and_then(container_of_path)
}

/// Both formats of one look; gives back the JSON lines.
fn shown(
    name: &str,
    memcgs: Vec<Referenced>,
    unread: &[(&str, &str)],
    request: ExplainRequest,
) -> Vec<Value> {
    let unread_of = |(what, why): &(&'static str, &str)| Unread { what, why: (*why).to_owned() };
    let unread: Vec<Unread> = unread.iter().map(|(what, why)| unread_of(&(leak(what), why))).collect();
    let map = unread.is_empty().then_some(MapCompared { on_lists: 640, on_no_list: 12, gone: 1 });
    let look = Look { began_ns: 9_000 * MS, ended_ns: 9_130 * MS, memcgs, unread, map };
    let explained = Explained {
        backend: "walk",
        began_ns: look.began_ns,
        ended_ns: look.ended_ns,
        explanations: cause::explain(&look),
        map: look.map,
        unread: look.unread.iter().map(|unread| (unread.what.to_owned(), unread.why.clone())).collect(),
    };
    let tracker = tracker();
    let view = ExplainView::new(&explained, &tracker, &VIEWPOINT, request, container_of);
    let (mut text, mut json) = (Vec::new(), Vec::new());
    text::explain(&mut text, &view, request.top, Color::Off).expect("a Vec takes all");
    json::explain(&mut json, &view).expect("a Vec takes all");
    check_json(&json);
    check_text(&text, Color::Off);
    compare(&format!("explain-{name}.txt"), &text);
    compare(&format!("explain-{name}.jsonl"), &json);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    json.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What a memcg cannot be without: the parts of each sum up, and the summary is their sum.
fn check_sums(lines: &[Value]) {
    let summary = lines.last().expect("a summary");
    let refs = |unexplained: bool| -> u64 {
        let pins = lines.iter().filter(|line| line["type"] == "pin");
        let pins = pins.filter(|pin| !unexplained || pin["pin"] == "unexplained");
        pins.map(|pin| pin["refs"].as_u64().expect("a number")).sum()
    };
    assert_eq!(summary["refs_total"], refs(false));
    assert_eq!(summary["refs_unexplained"], refs(true));
}

#[test]
fn every_kind_of_pin() {
    let lines = shown("kinds", vec![memcg(21, every_kind())], &[], ExplainRequest::default());
    check_sums(&lines);
    let kinds: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|line| line["pin"].as_str().map(str::to_owned)).collect();
    // All that there are, but for what is not explained.
    assert_eq!(kinds.len(), 26, "{kinds:?}");
    assert_eq!(lines.last().expect("a summary")["conclusive"], true);
}

#[test]
fn what_is_unexplained_and_what_moved() {
    let unread = [("swap entries", "/proc/kallsyms hides swap_cgroup_ctrl (kernel.kptr_restrict)")];
    let mut lost = memcg(22, vec![file(FileKind::Tmpfs, "/a", 17)]);
    (lost.before, lost.after) = (Some(20), Some(20));
    let gone = Referenced { key: key(23), before: Some(3), after: Some(0), references: Vec::new() };
    let lines = shown("rest", vec![moved(21), lost, gone], &unread, ExplainRequest::default());
    check_sums(&lines);
    let summary = lines.last().expect("a summary");
    assert_eq!((&summary["conclusive"], &summary["moved"]), (&Value::from(false), &Value::from(1)));
    assert_eq!((&summary["freed"], &summary["refs_unexplained"]), (&Value::from(1), &Value::from(3)));
}

#[test]
fn names_of_tenants() {
    let lines = shown("hostile", vec![memcg(23, hostile())], &[], ExplainRequest::default());
    check_sums(&lines);
}

#[test]
fn a_count_that_cannot_be_read_is_no_proof() {
    let mut uncounted = memcg(22, vec![file(FileKind::Tmpfs, "/a", 17)]);
    (uncounted.before, uncounted.after) = (None, None);
    let lines = shown("uncounted", vec![uncounted], &[], ExplainRequest::default());
    assert_eq!(lines.last().expect("a summary")["conclusive"], false);
}

#[test]
fn nothing_is_dying() {
    shown("nothing", Vec::new(), &[], ExplainRequest::default());
}

#[test]
fn groups() {
    let shared = || file(FileKind::Tmpfs, "/shared", 5);
    let mine = || open(file(FileKind::Memfd, "memfd:x", 3), 42, 7);
    // Of the same process, which is ended once, and has two descriptors to close.
    let other = || open(file(FileKind::Memfd, "memfd:y", 2), 42, 8);
    let memcgs = || vec![memcg(21, vec![shared(), mine()]), memcg(22, vec![shared(), other()])];
    for (name, by) in [
        ("by-file", ExplainBy::File),
        ("by-pin", ExplainBy::Pin),
        ("by-holder", ExplainBy::Holder),
        ("by-owner", ExplainBy::Owner),
    ] {
        shown(name, memcgs(), &[], ExplainRequest { by: Some(by), top: None });
    }
    shown("top", memcgs(), &[], ExplainRequest { by: None, top: Some(1) });
}

fn leak(text: &str) -> &'static str {
    text.to_owned().leak()
}
