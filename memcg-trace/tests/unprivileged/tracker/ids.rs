//! memcg IDs: held, in use, running out.

use super::*;

#[test]
fn swapped_out_pages_hold_the_id_of_the_dead() {
    let web = css(7, "web");
    let ledger = kprobe().events([
        web.online().at(1),
        web.rmdir().at(2),
        web.offline_enter().at(3),
        web.offline_id_held(12).at(4),
    ]);
    assert_eq!(ledger.tracker.ids().held_by_dying, Some(1));
    let ledger = ledger.holds(&["/web dying, id 7 refs 12"]).events([web.released().at(5)]);
    assert_eq!(ledger.tracker.ids().held_by_dying, Some(0));
    ledger.holds(&["/web dying, id released"]);
}

#[test]
fn ids_in_use() {
    let config = TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: 0,
        live_at_start: Some(100),
        paths: HashMap::new(),
    };
    let used = |ledger: &Ledger| ledger.tracker.ids().used;
    let (old, zombie, new) = (css(2, "old"), css(3, "zombie"), css(7, "new"));
    let ledger = Ledger::with(config).events([new.online().at(1)]);
    assert_eq!(used(&ledger), Some(101));
    // One of the hundred goes, and keeps its ID for a while.
    let ledger = ledger.events([old.rmdir().at(2), old.offline_enter().at(3), old.offline_id_held(1).at(4)]);
    assert_eq!(used(&ledger), Some(101));
    let ledger = ledger.events([old.released().at(5)]);
    assert_eq!(used(&ledger), Some(100));
    // This one was dying at the start and is not one of the hundred.
    let ledger = ledger.events([zombie.released().at(6), zombie.free().at(7)]);
    assert_eq!(used(&ledger), Some(100));
    // Taken for one of the hundred, until its birth comes late.
    let late = css(4, "late");
    let ledger = ledger.events([late.rmdir().at(9)]);
    assert_eq!(used(&ledger), Some(100));
    let ledger = ledger.events([late.online().at(8)]);
    assert_eq!(used(&ledger), Some(101));
    assert_eq!(used(&kprobe()), None, "how many there were is not known");
}

/// Of those that a walk brings none was counted at the start.
#[test]
fn ids_in_use_by_a_walk() {
    let config = TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: 0,
        live_at_start: Some(0),
        paths: HashMap::new(),
    };
    let web = css(7, "web");
    let ledger = Ledger::with(config).walk(2, [web.walked()]);
    assert_eq!(ledger.tracker.ids().used, Some(1));
    assert_eq!(ledger.events([web.online().at(1)]).tracker.ids().used, Some(1), "its birth, late");
}

#[test]
fn time_until_the_ids_are_exhausted() {
    let mut ledger = Ledger::with(TrackerConfig {
        backend: Backend::Tracepoint,
        grace_ns: 0,
        live_at_start: Some(65_535 - 1_000),
        paths: HashMap::new(),
    });
    let forecast = |ledger: &Ledger| {
        let exhaustion = ledger.tracker.ids().exhaustion;
        exhaustion.map(|exhaustion| (exhaustion.in_ns / MS, exhaustion.seen_for_ns / MS))
    };
    let mut serial = 1;
    for second in 0..=20 {
        ledger = ledger.time(1_000 * second);
        assert_eq!(forecast(&ledger).is_some(), second >= 10, "after {second} s");
        for _ in 0..10 {
            serial += 1;
            ledger = ledger.events([css(serial, "new").mkdir().at(1_000 * second + 1)]);
        }
    }
    // 200 of the 1,000 were used in 20 s.
    assert_eq!(forecast(&ledger), Some((80_000, 20_000)));
    for second in 21..=400 {
        ledger = ledger.time(1_000 * second);
    }
    assert_eq!(forecast(&ledger), None, "no growth in the last five minutes");
}

/// A node with 300 memcgs, of which the walk tells when the trace has begun already, and something that makes and removes
/// a cgroup all the time.
#[test]
fn what_a_walk_finds_is_no_growth() {
    let mut ledger = Ledger::with(TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: GRACE_MS * MS,
        live_at_start: Some(0),
        paths: HashMap::new(),
    });
    let churn = |second: u64| {
        let job = css(1_000 + second, "job");
        [
            job.online().at(1_000 * second + 100),
            job.rmdir().at(1_000 * second + 200),
            job.offline_enter().at(1_000 * second + 200),
            job.offline_id_released().at(1_000 * second + 300),
            job.free().at(1_000 * second + 1_400),
        ]
    };
    for second in 0..60 {
        ledger = ledger.time(1_000 * second);
        if second == 2 {
            ledger = ledger.walk(2_000, (2..302).map(|serial| css(serial, "old").walked()));
        }
        ledger = ledger.events(churn(second));
        assert_eq!(ledger.tracker.ids().exhaustion, None, "after {second} s");
    }
    assert_eq!(ledger.tracker.ids().used, Some(300));
}
