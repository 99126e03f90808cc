//! `--events`, `--cgroup`, `--count`, `--min-age`, `--duration`, `--fail-on-leak`.

use crate::support::{
    cgroup::Cgroup,
    machine,
    pins::unreaped_task,
    process::{command, run},
    tracer::{Tracer, parse},
};

/// A cgroup's whole life, in a moment.
fn live_and_die(cgroup: &Cgroup) {
    cgroup.run_something();
    cgroup.remove();
}

#[test]
fn events_and_cgroup_select_lines() {
    let _machine = machine();
    let home = Cgroup::home("select");
    let glob = format!("{}/wanted-?", home.path());
    let mut tracer = Tracer::start(&["--cgroup", &glob, "--events", "online,freed"]);
    for name in ["unwanted", "wanted-1", "wanted-22", "wanted-2"] {
        live_and_die(&home.child(name));
    }
    // The kernel frees them in any order.
    for name in ["wanted-1", "wanted-2"] {
        tracer.event("freed", &format!("{}/{name}", home.path()));
    }

    let outcome = tracer.stop();
    outcome.assert_conclusive();
    let lives = ["unwanted", "wanted-1", "wanted-22", "wanted-2"]
        .map(|name| outcome.life(&format!("{}/{name}", home.path())));
    assert_eq!(lives, [vec![], vec!["online", "freed"], vec![], vec!["online", "freed"]]);
    assert_eq!(outcome.events.len(), 4);
    // The books are about all of them.
    assert!(outcome.count("created") >= 4, "{}", outcome.summary);
}

#[test]
fn count_ends_it() {
    let _machine = machine();
    let home = Cgroup::home("count");
    let glob = format!("{}/*", home.path());
    let tracer = Tracer::start(&["--cgroup", &glob, "--count", "3"]);
    for name in ["1", "2", "3"] {
        live_and_die(&home.child(name));
    }
    let outcome = tracer.finish();
    assert_eq!(outcome.events.len(), 3);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn duration_ends_it() {
    let _machine = machine();
    let output = run(command().args(["trace", "-o", "json", "--duration", "1s"]));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let summary = parse(stdout.lines().last().expect("a last line"));
    assert_eq!(summary["type"], "summary");
    assert!(summary["duration_ns"].as_u64() >= Some(1_000_000_000), "{summary}");
}

#[test]
fn leak_is_an_exit_code_where_asked() {
    let _machine = machine();
    for (arguments, code) in [(["--grace", "1s"].as_slice(), 0), (&["--grace", "1s", "--fail-on-leak"], 3)] {
        let home = Cgroup::home("fail-on-leak");
        let mut tracer = Tracer::start(arguments);
        let victim = home.child("victim");
        let zombie = unreaped_task(&victim);
        victim.remove();
        let leaked = tracer.event("leaked", victim.path());
        assert_eq!(leaked["memcg"]["state"], "dying", "{leaked}");

        let outcome = tracer.stop();
        drop(zombie);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        let survivors = outcome.survivors.iter().map(|survivor| &survivor["memcg"]["path"]);
        assert!(survivors.into_iter().any(|path| path == victim.path()), "{:?}", outcome.survivors);
        let group = outcome.summary["leaked_by_parent"].as_array().into_iter().flatten();
        let ours: Vec<_> = group.filter(|group| group["parent_path"] == home.path()).collect();
        assert_eq!(ours.len(), 1, "{}", outcome.summary);
        assert_eq!(ours[0]["leaked"], 1, "{}", outcome.summary);
    }
}

#[test]
fn no_leak_no_exit_code() {
    let _machine = machine();
    let home = Cgroup::home("no-leak");
    let mut tracer = Tracer::start(&["--fail-on-leak"]);
    let victim = home.child("victim");
    live_and_die(&victim);
    tracer.event("freed", victim.path());
    tracer.stop().assert_conclusive();
}

#[test]
fn min_age_hides_the_young() {
    let _machine = machine();
    let home = Cgroup::home("min-age");
    let glob = format!("{}/*", home.path());
    let mut tracer = Tracer::start(&["--cgroup", &glob, "--grace", "2s", "--min-age", "1s"]);
    let (young, old) = (home.child("young"), home.child("old"));
    let zombie = unreaped_task(&old);
    old.remove();
    tracer.event("leaked", old.path());
    drop(zombie);
    tracer.event("late", old.path());
    live_and_die(&young);

    let outcome = tracer.stop();
    assert!(outcome.life(young.path()).iter().all(|kind| *kind != "online"), "{:?}", outcome.events);
    assert!(!outcome.life(old.path()).contains(&"online"), "{:?}", outcome.events);
}
