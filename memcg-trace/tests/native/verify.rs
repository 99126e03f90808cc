//! `verify` with the backend and the hierarchy that this machine has.

use std::{collections::BTreeSet, fs, process::Stdio};

use crate::support::{
    cgroup::{Version, hierarchy},
    eventually,
    file::File,
    machine,
    process::{command, run},
    sandbox,
    verify::{Left, Verified},
};

/// What every kernel does: scenario, verdict, what it was gone after, and whether the memcg ID was held.
const CERTAIN: [(&str, &str, Option<&str>, bool); 11] = [
    ("churn", "clean", None, false),
    ("swap", "leak", Some("pin_removed"), true),
    ("socket", "leak", Some("pin_removed"), false),
    ("unreaped-task", "leak", Some("pin_removed"), false),
    ("cgroup-namespace", "leak", Some("pin_removed"), false),
    ("socket-in-flight", "leak", Some("pin_removed"), false),
    ("orphan-socket", "leak", Some("pin_removed"), false),
    ("network-namespace", "leak", Some("pin_removed"), false),
    ("inotify", "leak", Some("pin_removed"), false),
    ("perf-event", "leak", Some("pin_removed"), false),
    ("id-exhaustion", "skipped", None, false),
];
/// These leak where pages pin a memcg (before 7.1, see src/scenarios/pages.rs); otherwise none does.
const PAGES: [&str; 9] = [
    "tmpfs",
    "page-cache",
    "mapped-file",
    "moved-task",
    "memfd",
    "sysv-shm",
    "deleted-file",
    "mlocked",
    "huge-page",
];

#[test]
fn verdicts_on_this_machine() {
    let _machine = machine();
    let verified = Verified::run(&["--cgroups", "5", "--settle", "3s", "--yes"]);
    assert_eq!(verified.code, Some(3), "leaks were not expected: {}", verified.stderr);
    assert_eq!(verified.summary["conclusive"], true, "{:#?}", verified.verdicts);
    verified.assert_pins_are_named();
    let table = verified.table();
    for row in CERTAIN {
        assert!(table.contains(&row), "{row:?}: {:#?}", verified.verdicts);
    }
    let of_pages: Vec<_> =
        table.iter().filter(|row| PAGES.contains(&row.0)).map(|(_, verdict, ..)| *verdict).collect();
    assert!(of_pages == ["leak"; 9] || of_pages == ["clean"; 9], "{:#?}", verified.verdicts);

    // One of them again, as expected now, and beside what was.
    let before = verified.verdicts.iter().map(|verdict| format!("{verdict}\n")).collect::<String>();
    let before = File::with("baseline", before.as_bytes());
    let expected = File::with("expectations", b"unreaped-task leak # on every kernel\n");
    let mut command = command();
    command.args(["verify", "-o", "json", "--cgroups", "2", "--settle", "1s", "--yes", "unreaped-task"]);
    command.arg("--baseline").arg(&before.0).arg("--expect").arg(&expected.0);
    let again = Verified::of(&mut command);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let changed = again.changes.iter().map(|change| change["scenario"].clone());
    let untried = verified.verdicts.iter().map(|verdict| verdict["scenario"].clone());
    let untried: BTreeSet<String> =
        untried.map(|name| name.to_string()).filter(|name| name != "\"unreaped-task\"").collect();
    assert_eq!(
        changed.map(|name| name.to_string()).collect::<BTreeSet<_>>(),
        untried,
        "{:#?}",
        again.changes
    );
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

    let output = run(command().args(["verify", "--hierarchy", wrong, "--yes"]));
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        fs::read_dir(hierarchy().1)
            .expect("the hierarchy")
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with("memcg-trace-verify-") })
    );
}

/// As in a container: zram devices can be made, but not be set up nor removed.
#[test]
fn swap_where_sys_is_read_only() {
    let _machine = machine();
    let before = Left::now();
    let mut command = command();
    command.args(["verify", "-o", "json", "--cgroups", "2", "--settle", "1s", "--yes", "swap"]);
    sandbox::read_only(&mut command, c"/sys");
    let verified = Verified::of(&mut command);
    assert_eq!(verified.table(), [("swap", "leak", Some("pin_removed"), true)], "{:?}", verified.verdicts);
    // A loop device is freed behind the last close.
    eventually("what verify made to be gone", || {
        let now = Left::now();
        if now == before { Ok(()) } else { Err(format!("{now:#?}, before {before:#?}")) }
    });
}

/// SIGKILL leaves no time to clean up: a swap device in use, cgroups, and memcgs that the swap pins.
#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let _machine = machine();
    let before = Left::now();
    let mut killed = command();
    killed.args(["verify", "--cgroups", "2", "--settle", "1m", "--yes", "swap"]);
    let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run memcg-trace");
    eventually("verify to have swapped", || {
        let now = Left::now();
        if now.swapped_since(&before) > Some(0) { Ok(()) } else { Err(format!("{now:#?}")) }
    });
    killed.kill().expect("SIGKILL");
    killed.wait().expect("its end");
    assert!(Left::now().swapped_since(&before).is_some(), "it cleaned up all the same");

    // Another scenario: what was left is removed by any.
    let next = Verified::run(&["--cgroups", "1", "--settle", "1s", "--yes", "churn"]);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    eventually("what was left to be gone", || {
        let now = Left::now();
        if now == before { Ok(()) } else { Err(format!("{now:#?}, before {before:#?}")) }
    });
}
