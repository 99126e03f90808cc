//! The ledger as a table: what happens, what is told, what the ledger says afterwards.

mod events;

use std::collections::HashMap;

use events::{Css, Fired, MS, css};
use memcg_trace::event::Event;
use memcg_trace::source::{Record, Snapshot};
use memcg_trace::tracker::{Backend, Change, Config, Found, Id, Memcg, State, Totals, Tracker, What};
use memcg_trace_common::{Field, Hook};

const GRACE_MS: u64 = 5_000;

/// A tracker that writes down what it is told and what it tells.
struct Ledger {
    tracker: Tracker,
    told: Vec<String>,
}

fn kprobe() -> Ledger {
    Ledger::new(Backend::Kprobe)
}

fn tracepoint() -> Ledger {
    Ledger::new(Backend::Tracepoint)
}

impl Ledger {
    fn new(backend: Backend) -> Self {
        Self::with(Config { backend, grace_ns: GRACE_MS * MS, live_at_start: None, paths: HashMap::new() })
    }

    fn with(config: Config) -> Self {
        Self { tracker: Tracker::new(config), told: Vec::new() }
    }

    fn events(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            self = self.record(Record::Event(event));
        }
        self
    }

    fn record(mut self, record: Record) -> Self {
        let mut out = Vec::new();
        self.tracker.apply(&record, &mut out);
        self.write_down(out)
    }

    /// A walk that begins and ends at `ms`.
    fn walk(self, ms: u64, seen: impl IntoIterator<Item = Fired>) -> Self {
        let events = seen.into_iter().map(|fired| fired.at(ms)).collect();
        self.record(Record::Walk(Snapshot {
            began_ns: ms * MS,
            ended_ns: ms * MS,
            events,
            ..Snapshot::default()
        }))
    }

    fn lost(self, ms: u64, events: u64) -> Self {
        self.record(Record::Lost { t_ns: ms * MS, hook: Hook::CssFree, cpu: 0, events })
    }

    fn time(mut self, ms: u64) -> Self {
        let mut out = Vec::new();
        self.tracker.advance(ms * MS, &mut out);
        self.write_down(out)
    }

    fn write_down(mut self, out: Vec<Change>) -> Self {
        for change in out {
            let what = self.describe(&change.what);
            self.told.push(format!("{} {what}", change.t_ns / MS));
        }
        let Totals { created, adopted, live, removed, dying, freed, .. } = *self.tracker.totals();
        assert_eq!(created + adopted, live + removed + dying + freed, "{:?}", self.tracker.totals());
        self
    }

    fn describe(&self, what: &What) -> String {
        let path = |key| path(self.tracker.get(key).expect("changes name memcgs of the ledger"));
        match what {
            What::Online(key) => format!("online {}", path(key)),
            What::Removed(key) => format!("removed {}", path(key)),
            What::Offline(key) => format!("offline {}", path(key)),
            What::Released(key) => format!("released {}", path(key)),
            What::Leaked(key) => format!("leaked {}", path(key)),
            What::Freed { memcg, dying_ns, late } => {
                let after = dying_ns.map_or("?".into(), |ns| (ns / MS).to_string());
                format!("freed {} after {after}{}", self::path(memcg), if *late { " late" } else { "" })
            }
            What::AllocFailed { errno, parent } => {
                format!("alloc failed {errno} below {:?}", parent.map(|key| key.serial))
            }
            What::Lost { hook, cpu, events } => format!("lost {events} {hook:?} cpu {cpu}"),
            What::Missed { hook, firings } => format!("missed {firings} {hook:?}"),
            What::Reconciled { memcg, found: Found::Added } => format!("added {}", self::path(memcg)),
            What::Reconciled { memcg, found: Found::Freed } => format!("gone {}", self::path(memcg)),
        }
    }

    #[track_caller]
    fn told(self, told: &[&str]) -> Self {
        assert_eq!(self.told, told);
        self
    }

    fn memcg(&self, css: &Css) -> &Memcg {
        self.tracker.get(&css.key).expect("the ledger holds it")
    }

    /// One line for each memcg, by serial number.
    #[track_caller]
    fn holds(self, lines: &[&str]) -> Self {
        let mut memcgs: Vec<&Memcg> = self.tracker.memcgs().collect();
        memcgs.sort_by_key(|memcg| memcg.key.serial);
        let held: Vec<String> = memcgs.into_iter().map(line).collect();
        assert_eq!(held, lines);
        self
    }

    #[track_caller]
    fn totals(self, expected: impl FnOnce(&mut Totals)) -> Self {
        let mut totals = Totals::default();
        expected(&mut totals);
        assert_eq!(*self.tracker.totals(), totals);
        self
    }
}

fn path(memcg: &Memcg) -> String {
    memcg.path.as_ref().map_or("?".into(), |path| path.escape_ascii().to_string())
}

fn line(memcg: &Memcg) -> String {
    let state = match memcg.state {
        State::Online => "online",
        State::Removed => "removed",
        State::Dying => "dying",
        State::Freed => "freed",
    };
    let id = match memcg.id {
        Id::Held { id, refs: Some(refs) } => format!("id {id} refs {refs}"),
        Id::Held { id, refs: None } => format!("id {id}"),
        Id::Released => "id released".into(),
        Id::Unknown => "id unknown".into(),
    };
    let adopted = if memcg.before_start { ", before start" } else { "" };
    let leaked = if memcg.leaked { ", leaked" } else { "" };
    format!("{} {state}, {id}{adopted}{leaked}", path(memcg))
}

/// A whole life, from online at `ms` to css_offline 30 ms later.
fn zombie(css: &Css, ms: u64) -> [Event; 4] {
    [
        css.online().at(ms),
        css.rmdir().at(ms + 10),
        css.offline_enter().at(ms + 29),
        css.offline_id_released().at(ms + 30),
    ]
}

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

#[test]
fn paths() {
    let pods = css(7, "pods");
    let pod = css(8, b"pod\n\xff").below(&pods);
    let old = css(3, "old");
    let below_old = css(9, "new").below(&old);
    let orphan = css(10, "orphan").below(&css(4, "never seen").below(&old));
    let config = Config {
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
    let config = Config {
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
fn loss_makes_it_inconclusive() {
    let lost = Record::Lost { t_ns: MS, hook: Hook::CssFree, cpu: 1, events: 3 };
    let missed = Record::Missed { t_ns: 2 * MS, hook: Hook::CssOffline, firings: 1 };
    assert!(kprobe().tracker.conclusive());
    assert!(!kprobe().record(lost.clone()).tracker.conclusive());
    assert!(!kprobe().record(missed.clone()).tracker.conclusive());
    assert!(!kprobe().events([css(7, "web").online().without(Field::CSS).at(1)]).tracker.conclusive());
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
    let nameless = |css: &Css| memcg_trace::tracker::Key { css: css.key.css, serial: 0 };
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
}

#[test]
fn ids_in_use() {
    let config =
        Config { backend: Backend::Kprobe, grace_ns: 0, live_at_start: Some(100), paths: HashMap::new() };
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
    assert_eq!(used(&kprobe()), None, "how many there were is not known");
}

#[test]
fn time_until_the_ids_are_exhausted() {
    let mut ledger = Ledger::with(Config {
        backend: Backend::Tracepoint,
        grace_ns: 0,
        live_at_start: Some(65_535 - 1_000),
        paths: HashMap::new(),
    });
    let forecast = |ledger: &Ledger| ledger.tracker.ids().exhausted_in_ns.map(|ns| ns / MS);
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
    assert_eq!(forecast(&ledger), Some(80_000));
    for second in 21..=400 {
        ledger = ledger.time(1_000 * second);
    }
    assert_eq!(forecast(&ledger), None, "no growth in the last five minutes");
}

#[test]
fn the_first_walk_brings_what_is_older_than_the_start() {
    let (pod, old, unfinished) = (css(2, "pod"), css(3, "old"), css(9, "unfinished"));
    let old = old.below(&pod);
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
