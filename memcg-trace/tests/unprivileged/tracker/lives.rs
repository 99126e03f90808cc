//! A memcg from creation to release, and what counts as leaked.

use super::*;

#[test]
fn a_life_without_a_leak() {
    let web = css(7, "web");
    kprobe()
        .events([web.alloc().at(1), web.online().at(2)])
        .holds(&["/web online, id 7 refs 1"])
        .events([web.rmdir().at(100)])
        .holds(&["/web removed, id 7 refs 1"])
        .events([web.offline_enter().at(140), web.offline_id_released().at(141)])
        .holds(&["/web dying, id released"])
        .events([web.released().at(160), web.free().at(180)])
        .holds(&[])
        .told(&[
            "2 online /web",
            "100 removed /web",
            "141 offline /web",
            "160 released /web",
            "180 freed /web after 40",
        ])
        .totals(|totals| {
            totals.allocated = 1;
            totals.created = 1;
            totals.freed = 1;
        });
}

#[test]
fn tracepoints_take_removal_for_offline() {
    let web = css(7, "web");
    tracepoint()
        .events([web.mkdir().at(2), web.rmdir().at(100)])
        .holds(&["/web dying, id unknown"])
        .time(5_100)
        .events([web.cgroup_release().at(6_000)])
        .told(&[
            "2 online /web",
            "100 removed /web",
            "100 offline /web",
            "5100 leaked /web",
            "6000 freed /web after 5900 late",
        ])
        .totals(|totals| {
            totals.created = 1;
            totals.freed = 1;
            totals.late = 1;
            totals.late_max_ns = Some(5_900 * MS);
        });
}

#[test]
fn who_created_and_who_removed() {
    let web = css(7, "web");
    let ledger = kprobe().events([
        web.online().by("runc").at(1),
        web.rmdir().by("systemd").at(2),
        web.offline_enter().by("kworker/0:1").at(3),
    ]);
    let memcg = ledger.memcg(&web);
    assert!(memcg.creator.is_some_and(|task| task.comm.starts_with(b"runc\0")));
    assert!(memcg.remover.is_some_and(|task| task.comm.starts_with(b"systemd\0")));
    assert_eq!((memcg.online_ns, memcg.removed_ns, memcg.offline_ns), (Some(MS), Some(2 * MS), Some(3 * MS)));
}

#[test]
fn leaked_once_and_as_of_the_end_of_the_grace_time() {
    let web = css(7, "web");
    kprobe()
        .events(zombie(&web, 0))
        .time(5_028)
        .holds(&["/web dying, id released"])
        .time(9_000)
        .time(10_000)
        .holds(&["/web dying, id released, leaked"])
        .told(&["0 online /web", "10 removed /web", "30 offline /web", "5029 leaked /web"])
        .totals(|totals| {
            totals.created = 1;
            totals.dying = 1;
            totals.leaked = 1;
        });
}

#[test]
fn late_is_not_leaked() {
    let (told, untold, punctual) = (css(7, "told"), css(8, "untold"), css(9, "punctual"));
    kprobe()
        .events(zombie(&told, 0))
        .time(5_100)
        .events(zombie(&untold, 6_000))
        .events(zombie(&punctual, 6_500))
        .events([punctual.free().at(11_528), told.free().at(11_529), untold.free().at(11_530)])
        .time(20_000)
        .holds(&[])
        .totals(|totals| {
            totals.created = 3;
            totals.freed = 3;
            totals.late = 2;
            totals.late_max_ns = Some(11_500 * MS);
        });
}

#[test]
fn older_than_the_start() {
    let [removed, offline, released, freed] = [2, 3, 4, 5].map(|serial| css(serial, format!("old{serial}")));
    kprobe()
        .events([removed.rmdir().at(1), offline.offline_enter().at(2), released.released().at(3)])
        .events([freed.free().at(4)])
        .holds(&[
            "/old2 removed, id 2 refs 1, before start",
            "/old3 dying, id unknown, before start",
            "/old4 dying, id released, before start",
        ])
        .told(&["1 removed /old2", "3 released /old4", "4 freed /old5 after ?"])
        .totals(|totals| {
            totals.adopted = 4;
            totals.removed = 1;
            totals.dying = 2;
            totals.freed = 1;
        });
}

#[test]
fn a_birth_that_was_lost_is_no_older_than_the_start() {
    let (seen, unseen) = (css(7, "seen"), css(8, "unseen"));
    kprobe()
        .events([seen.online().at(1), unseen.rmdir().at(2)])
        .holds(&["/seen online, id 7 refs 1", "/unseen removed, id 8 refs 1"]);
}

#[test]
fn creation_that_failed_after_the_allocation() {
    let web = css(7, "web");
    kprobe().events([web.alloc().at(1), web.free_unreleased().at(2)]).told(&["2 freed /web after ?"]).totals(
        |totals| {
            totals.allocated = 1;
            totals.created = 1;
            totals.freed = 1;
        },
    );
}

#[test]
fn allocation_that_failed() {
    let pods = css(7, "pods");
    kprobe()
        .events([pods.online().at(1)])
        .events([28, 28, 12].map(|errno| pods.alloc_child_fails(errno).at(2)))
        .told(&[
            "1 online /pods",
            "2 alloc failed 28 below Some(7)",
            "2 alloc failed 28 below Some(7)",
            "2 alloc failed 12 below Some(7)",
        ])
        .totals(|totals| {
            totals.created = 1;
            totals.live = 1;
            totals.alloc_failed = [(12, 1), (28, 2)].into();
        });
}
