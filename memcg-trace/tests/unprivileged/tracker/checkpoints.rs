//! A ledger that goes on with what another one of the same run knew.

use super::*;
use memcg_trace::record::{Checkpoint, Loss};

/// What it knows at `ms`.
fn checkpoint(ledger: &Ledger, ms: u64) -> Checkpoint {
    let mut memcgs: Vec<_> = ledger.tracker.memcgs().map(|memcg| (memcg.clone(), Vec::new())).collect();
    memcgs.sort_by_key(|(memcg, _)| memcg.key);
    Checkpoint { memcgs, ..ledger.tracker.checkpoint(ms * MS) }
}

impl Ledger {
    fn resume(mut self, checkpoint: &Checkpoint) -> Self {
        let mut out = Vec::new();
        self.tracker.resume(checkpoint, &mut out);
        self.write_down(out)
    }
}

#[test]
fn to_a_ledger_that_knows_nothing_nothing_is_a_change() {
    let (kept, freed, gone) = (css(7, "kept"), css(8, "freed"), css(9, "gone"));
    let fresh = || {
        Ledger::with(TrackerConfig {
            backend: Backend::Kprobe,
            grace_ns: GRACE_MS * MS,
            live_at_start: Some(20),
            paths: HashMap::new(),
        })
    };
    let other = fresh()
        .events([&kept, &freed, &gone].map(|css| css.online().at(1)))
        .events([freed.free().at(2), gone.cgroup_release().at(3)])
        .time(4)
        .lost(50, 1);
    let known = checkpoint(&other, 100);
    let rest = Checkpoint { memcgs: Vec::new(), ..known.clone() };
    let expected = Checkpoint {
        t_ns: 100 * MS,
        first_serial: Some(7),
        freed: vec![freed.key, gone.key],
        released: vec![(gone.cgroup_id, 3 * MS)],
        ids_used: vec![(4 * MS, 21)],
        loss: Loss { open_ns: Some(50 * MS), ..Loss::default() },
        ..Checkpoint::default()
    };
    assert_eq!(rest, expected);
    let resumed = fresh().resume(&known).told(&[]).holds(&["/kept online, id 7 refs 1"]);
    assert_eq!(checkpoint(&resumed, 100), known);
    // Late events are recognised, as they were there.
    resumed
        .events([freed.rmdir().at(2), gone.rmdir().at(2), kept.rmdir().at(60)])
        .told(&["60 removed /kept"]);
}

#[test]
fn what_was_not_seen_is_told_once() {
    let [old, removed, offline, same, dead, gone, came] =
        [(2, "old"), (3, "removed"), (4, "offline"), (5, "same"), (6, "dead"), (7, "gone"), (8, "came")]
            .map(|(serial, name)| css(serial, name));
    let born = || kprobe().events([&removed, &offline, &same, &dead].map(|css| css.online().at(1)));
    let ended = [same.rmdir().at(2), dead.offline_id_released().at(3), old.rmdir().at(4)];
    let other = kprobe()
        .events([&old, &removed, &offline, &same, &dead].map(|css| css.online().at(1)))
        .events(ended.clone())
        .events([came.online().at(5), removed.rmdir().at(6), offline.offline_id_released().at(7)]);
    let ledger = born().events([gone.online().at(1)]).events(ended);
    assert!(ledger.memcg(&old).before_start);
    ledger
        .resume(&checkpoint(&other, 100))
        .told(&[
            "1 online /removed",
            "1 online /offline",
            "1 online /same",
            "1 online /dead",
            "1 online /gone",
            "2 removed /same",
            "3 offline /dead",
            "4 removed /old",
            "100 gone /gone",
            "100 removed /removed",
            "100 offline /offline",
            "100 added /came",
        ])
        .holds(&[
            "/old removed, id 2 refs 1",
            "/removed removed, id 3 refs 1",
            "/offline dying, id released",
            "/same removed, id 5 refs 1",
            "/dead dying, id released",
            "/came online, id 8 refs 1",
        ])
        .totals(|totals| {
            (totals.created, totals.adopted, totals.live, totals.removed) = (5, 2, 1, 3);
            (totals.dying, totals.freed) = (2, 1);
            (totals.reconciled_added, totals.reconciled_freed) = (1, 1);
        });
}

#[test]
fn counts_begin_anew_and_states_stay() {
    let [live, removed, dying, freed] =
        [(2, "live"), (3, "removed"), (4, "dying"), (5, "freed")].map(|(serial, name)| css(serial, name));
    let mut ledger = kprobe()
        .events([&live, &removed, &dying].map(|css| css.online().at(1)))
        .events([removed.rmdir().at(2), dying.offline_id_released().at(3), freed.free().at(4)])
        .time(3 + GRACE_MS);
    ledger.tracker.recount();
    let told = ledger.told.clone();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    // That its birth comes late is not counted either.
    ledger.events([freed.online().at(1)]).told(&told).totals(|totals| {
        (totals.adopted, totals.live, totals.removed) = (3, 1, 1);
        (totals.dying, totals.leaked) = (1, 1);
    });
}
