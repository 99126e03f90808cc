//! Many cgroups at once: nothing is lost, or the loss is reported.

use nix::sys::signal::Signal;

use crate::support::{
    cgroup::Cgroup, eventually, evict_stocks, is_vm, machine, oracle, storm::storm, tracer::Tracer,
};

#[test]
fn storm_loses_nothing() {
    const PROCESSES: u32 = 2;

    let _machine = machine();
    // An emulated CPU takes twenty times as long for each.
    let rounds = if is_vm() { 1000 } else { 10_000 };
    let cgroups = (PROCESSES * rounds) as usize;
    let home = Cgroup::home("storm");
    // Zombies freed during the storm must not offset those that stay.
    evict_stocks();
    let before = oracle::dying();
    let below = format!("{}/*", home.path());
    let tracer = Tracer::start(&["--cgroup", &below, "--events", "online,freed,late,lost,missed"]);
    storm(&home, PROCESSES, rounds);
    eventually("the kernel to free all of the storm", || match oracle::dying() {
        dying if dying <= before => Ok(()),
        dying => {
            evict_stocks();
            Err(format!("{dying} are dying, {before} were before"))
        }
    });

    let outcome = tracer.stop();
    outcome.assert_conclusive();
    let freed = outcome.events_of("freed").len() + outcome.events_of("late").len();
    assert_eq!(
        (outcome.events_of("online").len(), freed),
        (cgroups, cgroups),
        "created and freed: {:?}, {}",
        outcome.events_of("missed"),
        outcome.summary
    );
    // On this machine other cgroups may come and go.
    assert!(outcome.count("created") >= cgroups as u64, "{}", outcome.summary);
}

/// The tracer is stopped during a storm: its buffers overflow on any machine.
#[test]
fn loss_is_told_and_inconclusive() {
    let _machine = machine();
    let home = Cgroup::home("loss");
    let mut tracer = Tracer::start(&["--perf-pages", "1", "--no-walk"]);
    tracer.signal(Signal::SIGSTOP);
    storm(&home, 2, 500);
    tracer.signal(Signal::SIGCONT);
    let lost = tracer.event_where("\"lost\"", |event| event["event"] == "lost");
    assert!(lost["events"].as_u64() > Some(0), "{lost}");

    let outcome = tracer.stop();
    let told: u64 = outcome.events_of("lost").iter().filter_map(|lost| lost["events"].as_u64()).sum();
    assert_eq!(outcome.count("lost_events"), told, "the summary counts what the events tell");
    assert_eq!(outcome.summary["conclusive"], false);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
}

/// Loss at the very end is detected, although no later event reveals it.
#[test]
fn loss_at_the_end_is_told() {
    let _machine = machine();
    let home = Cgroup::home("loss-at-end");
    let tracer = Tracer::start(&["--perf-pages", "1", "--no-walk"]);
    tracer.signal(Signal::SIGSTOP);
    storm(&home, 2, 500);
    // Pending until it goes on: then it ends at once.
    tracer.signal(Signal::SIGINT);
    tracer.signal(Signal::SIGCONT);

    let outcome = tracer.finish();
    assert!(outcome.count("lost_events") > 0, "{}", outcome.summary);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
}

/// A memcg created while events were lost: a walk finds it and reconciles the ledger. Memcgs created and freed
/// meanwhile stay unknown.
#[test]
fn walk_makes_good_for_loss() {
    let _machine = machine();
    let home = Cgroup::home("made-good");
    let mut tracer = Tracer::start(&["--perf-pages", "1"]);
    tracer.signal(Signal::SIGSTOP);
    storm(&home, 2, 500);
    let victim = home.child("victim");
    let id = victim.id();
    tracer.signal(Signal::SIGCONT);
    let found = tracer.event("reconciled", victim.path());
    assert_eq!((&found["found"], &found["memcg"]["state"]), (&"added".into(), &"online".into()), "{found}");
    assert_eq!(found["memcg"]["cgroup_id"], id, "{found}");
    victim.remove();
    // In such a small buffer its end may be lost as well: then the next walk reports it.
    tracer.event_where("the end of the victim", |event| {
        let ended = matches!(event["event"].as_str(), Some("freed" | "late")) || event["found"] == "freed";
        ended && event["memcg"]["cgroup_id"] == id
    });

    let outcome = tracer.stop();
    assert!(outcome.count("lost_events") > 0, "{}", outcome.summary);
    assert!(outcome.count("reconciled_added") > 0, "{}", outcome.summary);
    // What exists is known exactly, what happened is not.
    assert_eq!(outcome.summary["lower_bounds"][0], "created", "{}", outcome.summary);
    assert_eq!(outcome.summary["conclusive"], true, "{}", outcome.summary);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}
