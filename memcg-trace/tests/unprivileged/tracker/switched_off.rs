//! The memory controller is switched off in a living cgroup, or was never on.

use super::*;

#[test]
fn controller_switched_off_leaves_a_zombie_in_a_living_cgroup() {
    let first = css(7, "web");
    let second = first.next_generation(9);
    kprobe()
        .events([first.online().at(1), first.offline_enter().at(2), first.offline_id_released().at(3)])
        .events([second.online().at(4)])
        .holds(&["/web dying, id released", "/web online, id 7 refs 1"])
        .events([second.rmdir().at(5), second.offline_enter().at(6), second.offline_id_released().at(7)])
        .holds(&["/web dying, id released", "/web dying, id released"])
        .events([second.free().at(8)])
        .holds(&["/web dying, id released"])
        .told(&[
            "1 online /web",
            "3 offline /web",
            "4 online /web",
            "5 removed /web",
            "7 offline /web",
            "8 freed /web after 2",
        ]);
}

/// Of a cgroup's memcgs the newest is in use. Where css_offline is hooked, its own event is told when it comes.
#[test]
fn the_next_generation_ends_the_one_before() {
    let first = css(7, "web");
    let second = first.next_generation(9);
    let both = ["/web dying, id unknown", "/web online, id 7 refs 1"];
    kprobe()
        .events([first.online().at(1), second.online().at(4)])
        .holds(&both)
        .events([first.offline_id_released().at(3)])
        .told(&["1 online /web", "4 online /web", "3 offline /web"]);
    tracepoint()
        .events([first.mkdir().at(1), second.mkdir().at(4), second.mkdir().at(4)])
        .holds(&both)
        .told(&["1 online /web", "4 online /web", "4 offline /web"]);
}

#[test]
fn directory_of_a_switched_off_memcg_goes_later() {
    let web = css(7, "web");
    let ledger = kprobe().events([
        web.online().at(1),
        web.offline_enter().at(2),
        web.offline_id_released().at(3),
        web.rmdir_detached().at(4),
    ]);
    assert_eq!(ledger.memcg(&web).removed_ns, Some(4 * MS));
    ledger.told(&["1 online /web", "3 offline /web"]);
}

#[test]
fn tracepoints_see_a_switched_off_memcg_when_its_cgroup_goes() {
    let first = css(7, "web");
    let second = first.next_generation(9);
    tracepoint()
        .events([first.mkdir().at(1), second.rmdir().at(5)])
        .holds(&["/web dying, id unknown", "/web dying, id unknown"])
        .events([second.cgroup_release().at(9)])
        .holds(&[])
        .told(&[
            "1 online /web",
            "5 removed /web",
            "5 offline /web",
            "5 removed /web",
            "5 offline /web",
            "9 freed /web after 4",
            "9 freed /web after 4",
        ])
        .totals(|totals| {
            totals.created = 1;
            totals.adopted = 1;
            totals.freed = 2;
        });
    tracepoint()
        .events([first.mkdir().at(1), first.rmdir_detached().at(5)])
        .holds(&["/web dying, id unknown"]);
}

#[test]
fn cgroups_without_a_memcg_are_no_business_of_ours() {
    let plain = css(7, "plain");
    tracepoint()
        .events([plain.rmdir_detached().at(1), plain.cgroup_release().at(2)])
        .told(&[])
        .totals(|_| ());
}
