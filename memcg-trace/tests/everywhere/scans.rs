//! `scan`: zombies older than the tool.

use crate::support::{
    cgroup::Cgroup,
    eventually, evict_stocks, machine,
    pins::{namespace, unreaped_task},
    scan::Scan,
};

#[test]
fn zombies_of_before_are_listed() {
    let _machine = machine();
    let home = Cgroup::home("scan");
    let live = home.child("live");
    let clean = home.child("clean");
    let (first, second) = (home.child("first"), home.child("second"));
    let pins = (unreaped_task(&first), namespace(&second));
    clean.run_something();
    let (live_id, zombies) = (live.id(), [first.id(), second.id()]);
    for cgroup in [&first, &second, &clean] {
        cgroup.remove();
    }
    let expected = zombies.map(|id| (id, "dying")).to_vec();
    let scan = wait_for("two zombies and no more", &home, &expected);
    scan.assert_agrees();
    assert!(scan.count("dying") >= 2, "{}", scan.summary);
    for line in scan.lines.iter().filter(|line| line["memcg"]["path"] == first.path()) {
        assert!(line["memcg"]["css_refs"].as_u64() >= Some(1), "{line}");
        assert_eq!(line["memcg"]["id_held"], false, "{line}");
    }

    let all = Scan::run(&["--all"]);
    all.assert_agrees();
    assert_eq!(all.below(&home), [vec![(live_id, "online")], expected.clone()].concat());
    let empty = Scan::run(&["--empty"]);
    assert_eq!(empty.below(&home), [(live_id, "online")]);
    let groups = Scan::run(&["--by", "parent"]);
    let group = groups.lines.iter().find(|line| line["parent_path"] == home.path());
    assert_eq!(group.map(|group| &group["dying"]), Some(&2.into()), "{:?}", groups.lines);
    assert_eq!(Scan::run(&["--fail-on-leak"]).code, Some(3));
    assert_eq!(Scan::run(&["--top", "1"]).lines.len(), 1);

    drop(pins);
    wait_for("the zombies to go", &home, &[]);
}

/// Scans until it lists these memcgs below `home`. Releases other pins: charge stocks, and pages of libraries first
/// read there.
fn wait_for(what: &str, home: &Cgroup, expected: &[(u64, &str)]) -> Scan {
    eventually(what, || {
        let scan = Scan::run(&[]);
        let below = scan.below(home);
        if below == expected {
            return Ok(scan);
        }
        evict_stocks();
        home.reclaim();
        Err(format!("{below:?}"))
    })
}
