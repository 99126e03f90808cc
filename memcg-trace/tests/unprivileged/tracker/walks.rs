//! Walks of the kernel and the ledger.

use super::*;

#[test]
fn the_first_walk_brings_what_is_older_than_the_start() {
    let (pod, old, unfinished) = (css(2, "pod"), css(3, "old"), css(9, "unfinished"));
    let old = old.below(&pod);
    assert!(!kprobe().tracker.has_walked());
    let ledger = kprobe()
        .walk(100, [pod.walked(), old.walked_dying(), unfinished.walked_unfinished()])
        .told(&[])
        .holds(&["/pod online, id 2 refs 1, before start", "/pod/old dying, id released, before start"])
        .time(100 + GRACE_MS)
        // Nobody sees it leak: it was dead before.
        .told(&[])
        .holds(&[
            "/pod online, id 2 refs 1, before start",
            "/pod/old dying, id released, before start, leaked",
        ]);
    assert!(ledger.memcg(&old).died_before_start() && ledger.tracker.conclusive());
    assert!(ledger.tracker.has_walked());
    ledger.events([unfinished.online().at(6_000), old.released().at(7_000), old.free().at(7_030)]).told(&[
        "6000 online /unfinished",
        "7000 released /pod/old",
        "7030 freed /pod/old after ? late",
    ]);
}

#[test]
fn a_walk_after_a_loss_makes_the_ledger_good() {
    let (kept, gone, freed_meanwhile) = (css(2, "kept"), css(3, "gone"), css(4, "meanwhile"));
    let (missed, younger) = (css(5, "missed"), css(6, "younger"));
    let ledger = kprobe()
        .walk(1, [])
        .events([kept.online().at(10), gone.online().at(11), freed_meanwhile.online().at(12)])
        .lost(50, 9);
    assert!(ledger.tracker.wants_walk() && !ledger.tracker.conclusive());
    let ledger = ledger
        .walk(100, [kept.walked(), missed.walked_dying()])
        .events([younger.online().at(110), freed_meanwhile.free().at(120)]);
    assert!(!ledger.tracker.wants_walk() && !ledger.tracker.conclusive(), "a free may still be under way");
    let ledger = ledger.time(1_100);
    assert!(ledger.tracker.conclusive());
    ledger
        .told(&[
            "10 online /kept",
            "11 online /gone",
            "12 online /meanwhile",
            "50 lost 9 CssFree cpu 0",
            "100 added /missed",
            "110 online /younger",
            "120 freed /meanwhile after ?",
            "1100 gone /gone",
        ])
        .holds(&["/kept online, id 2 refs 1", "/missed dying, id released", "/younger online, id 6 refs 1"])
        // Its free, late, is recognised.
        .events([gone.free().at(1_050)])
        .totals(|totals| {
            totals.created = 4;
            totals.adopted = 1;
            totals.freed = 2;
            totals.live = 2;
            totals.dying = 1;
            totals.lost_events = 9;
            totals.reconciled_added = 1;
            totals.reconciled_freed = 1;
        });
}

/// At the end nothing more can explain it: it is told as of then.
#[test]
fn the_end_explains_what_a_walk_did_not_see() {
    let mut ledger = kprobe().walk(1, []).events([css(7, "gone").online().at(10)]).lost(50, 1).walk(100, []);
    let mut out = Vec::new();
    ledger.tracker.settle(200 * MS, &mut out);
    assert!(ledger.tracker.conclusive());
    ledger.write_down(out).told(&["10 online /gone", "50 lost 1 CssFree cpu 0", "200 gone /gone"]);
}

/// What comes online while a walk runs need not be in it.
#[test]
fn only_what_was_there_before_a_walk_can_be_missing_in_it() {
    kprobe()
        .walk(1, [])
        .events([css(7, "before").online().at(99), css(8, "meanwhile").online().at(100)])
        .lost(50, 1)
        .walk(100, [])
        .time(1_100)
        .holds(&["/meanwhile online, id 8 refs 1"]);
}

#[test]
fn a_loss_during_a_walk_needs_another_one() {
    let ledger = kprobe().lost(50, 1).walk(100, []).lost(100, 1).time(5_000);
    assert!(ledger.tracker.wants_walk() && !ledger.tracker.conclusive());
    assert!(ledger.walk(200, []).time(1_200).tracker.conclusive());
}

#[test]
fn without_loss_an_absent_memcg_is_on_its_way_out() {
    let web = css(7, "web");
    kprobe()
        .events(zombie(&web, 10))
        .walk(100, [])
        .time(2_000)
        .holds(&["/web dying, id released"])
        .events([web.free().at(2_100)])
        .totals(|totals| {
            totals.created = 1;
            totals.freed = 1;
        });
}

#[test]
fn what_came_right_after_the_first_walk_is_no_older_than_the_start() {
    kprobe()
        .walk(1, [css(7, "last").walked()])
        .events([css(8, "next").rmdir().at(2)])
        .holds(&["/last online, id 7 refs 1, before start", "/next removed, id 8 refs 1"]);
}

#[test]
fn a_walk_finds_a_removal_unseen() {
    let web = css(7, "web");
    kprobe()
        .events([web.online().at(10)])
        .walk(100, [web.walked_removed()])
        .walk(200, [web.walked_removed()])
        .told(&["10 online /web", "100 removed /web"])
        .holds(&["/web removed, id 7 refs 1"]);
}

#[test]
fn a_walk_finds_a_controller_switched_off_unseen() {
    let web = css(7, "web");
    tracepoint()
        .events([web.mkdir().at(10)])
        .walk(100, [web.walked_dying()])
        .told(&["10 online /web", "100 offline /web"])
        .holds(&["/web dying, id released"])
        .time(100 + GRACE_MS)
        .holds(&["/web dying, id released, leaked"]);
}
