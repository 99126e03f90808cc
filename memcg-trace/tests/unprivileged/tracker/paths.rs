//! Where the path of a memcg comes from.

use super::*;

#[test]
fn paths() {
    let pods = css(7, "pods");
    let pod = css(8, b"pod\n\xff").below(&pods);
    let old = css(3, "old");
    let below_old = css(9, "new").below(&old);
    let orphan = css(10, "orphan").below(&css(4, "never seen").below(&old));
    let config = TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: 0,
        live_at_start: None,
        paths: [(1, b"/".as_slice().into()), (old.cgroup_id, b"/deep/old".as_slice().into())].into(),
    };
    Ledger::with(config)
        .events([&pods, &pod, &below_old, &orphan].map(|css| css.online().at(1)))
        .events([old.rmdir().at(2)])
        .told(&[
            "1 online /pods",
            "1 online /pods/pod\\n\\xff",
            "1 online /deep/old/new",
            "1 online ?/orphan",
            "2 removed /old",
        ]);
}

/// Names are asked for before the event is applied.
#[test]
fn a_path_is_known_before_its_memcg() {
    let pods = css(7, "pods");
    let pod = css(8, "pod").below(&pods);
    let ledger = kprobe().events([pods.online().at(1)]);
    let path_of = |fired: Fired| ledger.tracker.path_of(&fired.at(2));
    assert_eq!(path_of(pod.online()).as_deref(), Some(&b"/pods/pod"[..]));
    assert_eq!(path_of(pod.memcg_free()), None);
}

#[test]
fn path_of_a_cgroup_that_lost_its_parent_comes_from_the_start() {
    let old = css(5, "old").below(&css(3, "a").below(&css(2, "b")));
    let config = TrackerConfig {
        backend: Backend::Tracepoint,
        grace_ns: 0,
        live_at_start: None,
        paths: [(old.cgroup_id, b"/b/a/old".as_slice().into())].into(),
    };
    Ledger::with(config).events([old.rmdir().at(2)]).holds(&["/b/a/old dying, id unknown, before start"]);
}

#[test]
fn paths_of_cgroups_that_are_gone_are_forgotten() {
    let (freed, released, there) = (css(2, "freed"), css(3, "released"), css(4, "there"));
    let config = TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: 0,
        live_at_start: None,
        paths: [&freed, &released, &there].map(|css| (css.cgroup_id, b"/path".as_slice().into())).into(),
    };
    let ledger = Ledger::with(config)
        .events([freed.rmdir().at(1), freed.free().at(2)])
        .events([released.cgroup_release().at(3)]);
    let known: Vec<_> = ledger.tracker.paths_at_start().keys().collect();
    assert_eq!(known, [&there.cgroup_id]);
}

#[test]
fn endless_path_is_cut_at_its_head() {
    let mut parent = css(2, "x".repeat(255));
    let mut ledger = kprobe().events([parent.online().at(1)]);
    for serial in 3..40 {
        parent = css(serial, "x".repeat(255)).below(&parent);
        ledger = ledger.events([parent.online().at(serial)]);
    }
    let longest =
        ledger.tracker.memcgs().filter_map(|memcg| memcg.path.as_ref()).map(|path| path.len()).max();
    assert_eq!(longest, Some(4096));
    let memcg = ledger.memcg(&parent);
    assert!(memcg.path_truncated && path(memcg).starts_with("?/xxx"));
}
