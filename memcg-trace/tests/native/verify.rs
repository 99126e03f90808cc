//! `verify` with the backend and the hierarchy that this machine has.

use std::fs;

use crate::support::{
    cgroup::{Version, hierarchy},
    file::File,
    machine,
    verify::Verified,
};

/// Leaks of every kernel, and the controls: whatever this machine runs.
const CERTAIN: &str = "churn clean\nunreaped-task leak\ncgroup-namespace leak\nsocket leak\nswap leak\n";

#[test]
fn verdicts_on_this_machine() {
    let _machine = machine();
    let expectations = File::with("expectations", CERTAIN.as_bytes());
    let path = expectations.0.to_str().expect("UTF-8");
    let certain: Vec<&str> = CERTAIN.lines().filter_map(|line| line.split(' ').next()).collect();
    let arguments = ["--cgroups", "5", "--settle", "3s", "--yes", "--expect", path];
    let verified = Verified::run(&[arguments.as_slice(), &certain].concat());
    assert_eq!(verified.code, Some(0), "{:#?}\n{}", verified.verdicts, verified.stderr);
    let mut expected = vec![
        ("churn", "clean", None, false),
        ("swap", "leak", Some("pin_removed"), true),
        ("socket", "leak", Some("pin_removed"), false),
        ("unreaped-task", "leak", Some("pin_removed"), false),
        ("cgroup-namespace", "leak", Some("pin_removed"), false),
    ];
    assert_eq!(verified.table(), expected);

    // The same again, beside what was.
    let lines = verified.verdicts.iter().map(|verdict| format!("{verdict}\n")).collect::<String>();
    let baseline = File::with("baseline", lines.as_bytes());
    let baseline = baseline.0.to_str().expect("UTF-8");
    let again = Verified::run(&[
        "--cgroups",
        "2",
        "--settle",
        "1s",
        "--yes",
        "--baseline",
        baseline,
        "unreaped-task",
    ]);
    assert_eq!(again.code, Some(3), "a leak that was not expected: {}", again.stderr);
    let mut changed: Vec<_> =
        again.changes.iter().map(|change| change["scenario"].as_str().unwrap_or_default()).collect();
    changed.sort_unstable();
    expected.retain(|(name, ..)| *name != "unreaped-task");
    let mut untried: Vec<_> = expected.iter().map(|(name, ..)| *name).collect();
    untried.sort_unstable();
    assert_eq!(changed, untried, "what was not tried again, and nothing else: {:#?}", again.changes);
}

#[test]
fn what_cannot_run_here_says_so() {
    let _machine = machine();
    let (absent, wrong) = match hierarchy().0 {
        Version::V1 => ("controller-toggle", "v2"),
        Version::V2 => ("kmem-limit", "v1"),
    };
    let skipped = Verified::run(&["--cgroups", "1", "--settle", "1s", "--yes", absent]);
    assert_eq!(skipped.verdicts[0]["verdict"], "skipped", "{:?}", skipped.verdicts);
    assert!(skipped.verdicts[0]["reason"].is_string(), "{:?}", skipped.verdicts);
    assert_eq!(skipped.code, Some(4), "skipped is not passed: {}", skipped.stderr);

    let output = crate::support::process::run(crate::support::process::command().args([
        "verify",
        "--hierarchy",
        wrong,
        "--yes",
    ]));
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        fs::read_dir(hierarchy().1)
            .expect("the hierarchy")
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with("memcg-trace-verify-") })
    );
}
