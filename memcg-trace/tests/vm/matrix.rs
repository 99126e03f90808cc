//! The leak matrix: each way to pin a removed memcg, on each kernel, told by memcg-trace and counted by the kernel.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    expectations::{Fate, kernel},
    support::{
        cgroup::{Cgroup, Version, hierarchy},
        oracle,
        pins::{Swap, TmpfsFile, namespace, swapped_task, unreaped_task},
        tracer::Tracer,
    },
    vm,
};

/// What is pinned leaks after this time.
const GRACE: &str = "2s";
/// What is not pinned is freed before this time, on an emulated CPU as well.
const LONG_GRACE: &str = "10m";

const BORN_AND_REMOVED: [&str; 3] = ["online", "removed", "offline"];

#[test]
fn clean_churn() {
    let _machine = vm();
    let home = Cgroup::home("churn");
    let tracer = start(Fate::Freed);
    for round in 0..50 {
        let cgroup = home.child(round.to_string());
        cgroup.run_something();
        cgroup.remove();
    }
    oracle::expect_dying(0);
    tracer.stop().assert_all_freed(50);
}

#[test]
fn tmpfs_file() {
    let _machine = vm();
    let offline = see_through("tmpfs", kernel().tmpfs, TmpfsFile::written_in, |_| {});
    assert_id_released(&offline);
    assert!(offline["memcg"]["charged_bytes"].as_u64() >= Some(TmpfsFile::BYTES), "{offline}");
    if kernel().tmpfs == Fate::Leaks {
        // One reference for each page.
        assert!(offline["memcg"]["css_refs"].as_u64() >= Some(256), "{offline}");
    }
}

#[test]
fn swapped_pages() {
    let _machine = vm();
    let mut swapped = 0;
    let offline = see_through(
        "swap",
        kernel().swap,
        |victim| {
            let swap = Swap::on_zram();
            let (task, pages) = swapped_task(victim, &swap);
            swapped = pages;
            // Dropped in this order: some kernels cache the last slots that the task frees until swapoff.
            (task, swap)
        },
        |tracer| {
            let leaked = tracer.event_where("leaked", |event| event["event"] == "leaked");
            assert_eq!(leaked["memcg"]["id_held"], true, "{leaked}");
        },
    );
    let memcg = &offline["memcg"];
    assert_eq!((&memcg["id_held"], &memcg["id_refs"]), (&json!(true), &json!(swapped)), "{offline}");
    assert!(memcg["id"].as_u64() > Some(0), "{offline}");
}

#[test]
fn unreaped() {
    let _machine = vm();
    assert_id_released(&see_through("task", kernel().task, unreaped_task, |_| {}));
}

#[test]
fn cgroup_namespace() {
    let _machine = vm();
    assert_id_released(&see_through("namespace", kernel().namespace, namespace, |_| {}));
}

/// Parent and child are removed, the child is pinned: it pins its parent.
#[test]
fn nested() {
    let _machine = vm();
    let home = Cgroup::home("nested");
    let mut tracer = start(kernel().nested);
    let parent = home.child("parent");
    parent.enable_memory();
    let child = parent.child("child");
    let file = TmpfsFile::written_in(&child);
    child.remove();
    parent.remove();
    let both = [&parent, &child].map(|cgroup| tracer.event("offline", cgroup.path()));
    let end = match kernel().nested {
        Fate::Leaks => {
            both.iter().for_each(assert_id_released);
            for cgroup in [&parent, &child] {
                tracer.event("leaked", cgroup.path());
            }
            expect_dying(&mut tracer, &[&both[0], &both[1]], 2);
            "late"
        }
        Fate::Freed => "freed",
    };
    if end == "late" {
        drop(file);
    }
    let ends = [&child, &parent].map(|cgroup| tracer.event(end, cgroup.path()));
    assert!(ends[0]["t_ns"].as_u64() < ends[1]["t_ns"].as_u64(), "the child goes first: {ends:?}");
    expect_dying(&mut tracer, &[], 0);
    tracer.stop().assert_all_freed(2);
}

/// The controller is switched off and on again: two memcgs, one cgroup.
#[test]
fn controller_toggle() {
    let _machine = vm();
    let kernel = kernel();
    if hierarchy().0 == Version::V1 {
        let root = hierarchy().1;
        assert!(!root.join("cgroup.subtree_control").exists(), "controllers cannot be disabled on cgroup v1");
        return;
    }
    let home = Cgroup::home("toggle");
    let mut tracer = start(kernel.toggled);
    let parent = home.child("parent");
    parent.enable_memory();
    let victim = parent.child("victim");
    let file = TmpfsFile::written_in(&victim);
    let first = tracer.event("online", victim.path());

    parent.disable_memory();
    let of_first = |kind: &'static str| {
        let serial = serial(&first);
        move |event: &Value| event["event"] == kind && event["memcg"]["serial"] == serial
    };
    let offline = tracer.event_where("offline of the first generation", of_first("offline"));
    assert_id_released(&offline);
    assert_eq!(offline["memcg"]["cgroup_id"], victim.id());
    let zombies = match kernel.toggled {
        Fate::Leaks => {
            tracer.event_where("leaked of the first generation", of_first("leaked"));
            // A zombie, and no cgroup is dying.
            expect_dying(&mut tracer, &[&first], 0);
            1
        }
        Fate::Freed => {
            tracer.event_where("freed of the first generation", of_first("freed"));
            expect_dying(&mut tracer, &[], 0);
            0
        }
    };
    assert_eq!(oracle::dying_memcgs(&home), kernel.counts_dying_memcgs.then_some(zombies));

    parent.enable_memory();
    let second = tracer.event_where("online of the second generation", |event| {
        event["event"] == "online"
            && event["memcg"]["path"] == victim.path()
            && serial(event) != serial(&first)
    });
    assert_eq!(second["memcg"]["cgroup_id"], first["memcg"]["cgroup_id"]);
    drop(file);
    if kernel.toggled == Fate::Leaks {
        tracer.event_where("late of the first generation", of_first("late"));
    }
    victim.run_something();
    victim.remove();
    parent.remove();
    // Their own end may be late as well: the grace time is short for the first generation's sake.
    for cgroup in [&victim, &parent] {
        tracer.event_where(&format!("the end of {}", cgroup.path()), |event| {
            let ended = matches!(event["event"].as_str(), Some("freed" | "late"));
            ended && event["memcg"]["path"] == cgroup.path() && event["memcg"]["serial"] != serial(&first)
        });
    }
    oracle::expect_dying(0);

    let outcome = tracer.stop();
    outcome.assert_all_freed(3);
    let life = |serial: u64| {
        let about = outcome.events.iter().filter(|event| event["memcg"]["serial"] == serial);
        about.filter_map(|event| event["event"].as_str()).collect::<Vec<_>>()
    };
    let first_life = match kernel.toggled {
        Fate::Leaks => ["online", "offline", "leaked", "released", "late"].as_slice(),
        Fate::Freed => &["online", "offline", "released", "freed"],
    };
    assert_eq!(life(serial(&first)), first_life);
    let second_life = life(serial(&second)).into_iter().filter(|kind| *kind != "leaked");
    let second_life: Vec<_> = second_life.map(|kind| if kind == "late" { "freed" } else { kind }).collect();
    assert_eq!(second_life, ["online", "removed", "offline", "released", "freed"]);
}

/// Removes a memcg that is pinned and follows it to its end, which comes by itself or when the pin goes; `while_dying`
/// looks on in between. Gives the event of its going offline.
fn see_through<Pin>(
    test: &str,
    fate: Fate,
    pin: impl FnOnce(&Cgroup) -> Pin,
    while_dying: impl FnOnce(&mut Tracer),
) -> Value {
    let home = Cgroup::home(test);
    let mut tracer = start(fate);
    let victim = home.child("victim");
    let pin = pin(&victim);
    victim.remove();
    let offline = tracer.event("offline", victim.path());
    let end: &[&str] = match fate {
        Fate::Leaks => {
            tracer.event("leaked", victim.path());
            expect_dying(&mut tracer, &[&offline], 1);
            while_dying(&mut tracer);
            drop(pin);
            tracer.event("late", victim.path());
            &["leaked", "released", "late"]
        }
        Fate::Freed => {
            tracer.event("freed", victim.path());
            drop(pin);
            &["released", "freed"]
        }
    };
    expect_dying(&mut tracer, &[], 0);
    let outcome = tracer.stop();
    outcome.assert_all_freed(1);
    assert_eq!(outcome.life(victim.path()), [&BORN_AND_REMOVED, end].concat());
    offline
}

fn start(fate: Fate) -> Tracer {
    oracle::expect_dying(0);
    let grace = match fate {
        Fate::Leaks => GRACE,
        Fate::Freed => LONG_GRACE,
    };
    Tracer::start(&["--grace", grace])
}

/// These memcgs are dying, and the kernel counts so many dying cgroups.
fn expect_dying(tracer: &mut Tracer, memcgs: &[&Value], cgroups: u64) {
    assert_eq!(tracer.dying(), memcgs.iter().map(|event| serial(event)).collect::<BTreeSet<_>>());
    oracle::expect_dying(cgroups);
}

fn assert_id_released(offline: &Value) {
    let memcg = &offline["memcg"];
    assert_eq!((&memcg["id_held"], &memcg["id"]), (&json!(false), &Value::Null), "{offline}");
}

fn serial(event: &Value) -> u64 {
    event["memcg"]["serial"].as_u64().unwrap_or_else(|| panic!("no serial number in {event}"))
}
