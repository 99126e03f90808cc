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
