//! Events that come late, or never.

use super::*;

#[test]
fn stragglers_add_facts_and_change_no_state() {
    let web = css(7, "web");
    let ledger = kprobe()
        .events([
            web.offline_id_released().at(31),
            web.offline_enter().at(30),
            web.rmdir().at(20),
            web.online().at(10),
        ])
        .holds(&["/web dying, id released"])
        .told(&["31 offline /web"])
        .totals(|totals| {
            totals.created = 1;
            totals.dying = 1;
        });
    let memcg = ledger.memcg(&web);
    assert_eq!(
        (memcg.online_ns, memcg.removed_ns, memcg.offline_ns),
        (Some(10 * MS), Some(20 * MS), Some(30 * MS))
    );
    assert!(memcg.creator.is_some() && memcg.remover.is_some());
}

#[test]
fn the_freed_do_not_rise() {
    let web = css(7, "web");
    kprobe()
        .events([web.free().at(50), web.online().at(10), web.rmdir().at(20), web.offline_enter().at(30)])
        .told(&["50 freed /web after ?"])
        .totals(|totals| {
            totals.created = 1;
            totals.freed = 1;
        });
    tracepoint()
        .events([web.cgroup_release().at(50), web.mkdir().at(10), web.rmdir().at(20)])
        .holds(&[])
        .totals(|totals| {
            totals.created = 1;
            totals.freed = 1;
        });
}

#[test]
fn an_offline_after_the_last_put_tells_nothing_new() {
    let web = css(7, "web");
    kprobe()
        .events([web.online().at(1), web.released().at(40), web.offline_id_held(3).at(30)])
        .told(&["1 online /web", "40 released /web"])
        .holds(&["/web dying, id released"]);
}

#[test]
fn a_cgroup_id_that_is_used_again_is_another_cgroup() {
    let web = css(7, "web");
    let next = web.next_generation(9);
    tracepoint()
        .events([web.mkdir().at(1), web.rmdir().at(2), web.cgroup_release().at(3), next.mkdir().at(4)])
        .holds(&["/web online, id 7 refs 1"]);
}

#[test]
fn loss_makes_it_inconclusive() {
    let lost = Record::Lost { t_ns: MS, hook: Hook::CssFree, cpu: 1, events: 3 };
    let missed = Record::Missed { t_ns: 2 * MS, hook: Hook::CssOffline, firings: 1 };
    assert!(kprobe().tracker.conclusive());
    assert!(!kprobe().record(lost.clone()).tracker.conclusive());
    assert!(!kprobe().record(missed.clone()).tracker.conclusive());
    assert!(!kprobe().events([css(7, "web").online().without(Field::CSS).at(1)]).tracker.conclusive());
    let unidentified = css(7, "web").cgroup_release().without(Field::CGROUP_ID).at(1);
    let ledger = tracepoint().events([unidentified.clone(), unidentified]);
    assert!(!ledger.tracker.conclusive());
    ledger.totals(|totals| totals.unidentified = 2);
    kprobe().record(lost).record(missed).told(&["1 lost 3 CssFree cpu 1", "2 missed 1 CssOffline"]).totals(
        |totals| {
            totals.lost_events = 3;
            totals.missed_firings = 1;
        },
    );
}

#[test]
fn without_serial_numbers_the_address_is_the_identity() {
    let web = css(7, "web");
    let next = Css { name: b"next".to_vec(), cgroup_id: 2000, ..web.clone() };
    let unnumbered = |fired: Fired, ms| fired.without(Field::SERIAL | Field::PARENT_SERIAL).at(ms);
    let nameless = |css: &Css| memcg_trace::event::Key { css: css.key.css, serial: 0 };
    let ledger = kprobe()
        .events([unnumbered(web.online(), 1), unnumbered(web.offline_id_released(), 2)])
        .events([unnumbered(web.free(), 3), unnumbered(next.online(), 4)])
        .told(&["1 online /web", "2 offline /web", "3 freed /web after 1", "4 online /next"])
        // Its death was not seen, but a new memcg at its address proves it.
        .events([unnumbered(next.offline_id_released(), 5), unnumbered(web.online(), 6)])
        .totals(|totals| {
            totals.created = 3;
            totals.freed = 2;
            totals.live = 1;
        });
    assert!(ledger.tracker.get(&nameless(&web)).is_some());
    // In the same instant nobody else can have got its address.
    kprobe()
        .events([unnumbered(web.offline_id_released(), 5), unnumbered(web.online(), 5)])
        .totals(|totals| (totals.created, totals.dying) = (1, 1));
}
