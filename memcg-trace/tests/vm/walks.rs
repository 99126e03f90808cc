//! What was there before memcg-trace: zombies of all kinds, found by each way to walk and by an oracle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};

use memcg_trace::{
    event::Event,
    kernel::{
        Kernel,
        walk::{Walk, Walks},
    },
    record::Snapshot,
    source::take_walk,
};
use memcg_trace_common::{CssFlag, EventHeader};
use nix::sys::signal::Signal;

use crate::{
    attached::Attached,
    expectations::{Fate, kernel},
    oracle::{self, Memcg},
    support::{
        cgroup::{Cgroup, Task},
        eventually,
        oracle::expect_dying,
        pins::{Swap, TmpfsFile, namespace, swapped_task, unreaped_task},
        process::command,
        sandbox::without_test_runs,
        scan::Scan,
        storm::storm,
        tracer::{Outcome, Tracer},
    },
    vm,
};

/// Zombies of five kinds; on a kernel that frees one of them, of fewer.
struct Zombies {
    /// Paths by cgroup id.
    dying: BTreeMap<u64, String>,
    _pins: (Vec<Task>, Vec<TmpfsFile>),
    _home: Cgroup,
    /// Goes last: swapping off takes long while there are pages in it.
    _swap: Swap,
}

impl Zombies {
    fn make(test: &str) -> Self {
        let home = Cgroup::home(test);
        expect_dying(0);
        let swap = Swap::on_zram();
        let mut removed = Vec::new();
        let mut remove = |cgroup: &Cgroup, fate| {
            removed.push((cgroup.id(), cgroup.path().to_owned(), fate));
            cgroup.remove();
        };

        let cgroup = home.child("swap");
        let (swapped, _) = swapped_task(&cgroup, &swap);
        remove(&cgroup, kernel().swap);
        let cgroup = home.child("task");
        let unreaped = unreaped_task(&cgroup);
        remove(&cgroup, kernel().task);
        let cgroup = home.child("namespace");
        let namespace = namespace(&cgroup);
        remove(&cgroup, kernel().namespace);
        let cgroup = home.child("tmpfs");
        let file = TmpfsFile::written_in(&cgroup);
        remove(&cgroup, kernel().tmpfs);
        let parent = home.child("parent");
        parent.enable_memory();
        let child = parent.child("child");
        let nested = TmpfsFile::written_in(&child);
        remove(&child, kernel().nested);
        remove(&parent, kernel().nested);

        let stay = removed.into_iter().filter(|(_, _, fate)| *fate == Fate::Leaks);
        let dying: BTreeMap<_, _> = stay.map(|(id, path, _)| (id, path)).collect();
        expect_dying(dying.len() as u64);
        let pins = (vec![swapped, unreaped, namespace], vec![file, nested]);
        Self { dying, _pins: pins, _home: home, _swap: swap }
    }

    fn paths(&self) -> BTreeSet<&str> {
        self.dying.values().map(String::as_str).collect()
    }
}

#[test]
fn walks_agree_with_the_oracle() {
    let _machine = vm();
    let zombies = Zombies::make("walks");
    let layout = Kernel::probe(None).expect("what every command needs").layout;
    let mut walks = [Walk::program(&layout), Walk::kcore(&layout)].map(|walk| walk.expect("a way to walk"));

    let truth = oracle::memcgs();
    let snapshots = eventually("two walks between which no zombie loses a page", || {
        let [program, kcore] = walks.each_mut().map(|walk| take_walk(walk).expect("a walk"));
        let read = [facts(&program), facts(&kcore)];
        if read[0] == read[1] { Ok([program, kcore]) } else { Err(format!("they read {read:?}")) }
    });
    assert_eq!(oracle::memcgs(), truth, "nothing came or went meanwhile");
    for (walk, snapshot) in walks.iter().zip(&snapshots) {
        let seen: Vec<_> = snapshot.events.iter().map(memcg).collect();
        assert_eq!(seen.len(), truth.len(), "nothing is seen twice by \"{}\"", walk.means());
        assert_eq!(BTreeSet::from_iter(seen), truth, "the walk by \"{}\"", walk.means());
        let dying = snapshot.events.iter().filter(|event| is_dying(event));
        let dying: BTreeSet<_> = dying.filter_map(Event::cgroup_id).collect();
        assert_eq!(dying, zombies.dying.keys().copied().collect(), "dying, by \"{}\"", walk.means());
    }
    let [program, kcore] = snapshots;
    let known = |snapshot: &Snapshot| {
        BTreeMap::from_iter(snapshot.charges.iter().map(|(key, charges)| (*key, charges.known)))
    };
    assert_eq!(known(&program), known(&kcore));
}

#[test]
fn scan_agrees_with_the_oracle() {
    let _machine = vm();
    let zombies = Zombies::make("scanned");
    let truth = oracle::memcgs().into_iter().filter(|memcg| memcg.flags & CssFlag::ONLINE == 0);
    let truth: BTreeSet<_> =
        truth.map(|memcg| (format!("{:#x}", memcg.css), memcg.serial, memcg.id)).collect();
    let mut scan = command();
    let mut without = command();
    without_test_runs(&mut without);
    for (command, backend) in [(&mut scan, "walk"), (&mut without, "kcore")] {
        let scan = Scan::of(command.args(["scan", "-o", "json"]));
        scan.assert_agrees();
        assert_eq!(scan.summary["backend"], backend, "{}", scan.stderr);
        let memcgs = scan.lines.iter().map(|line| &line["memcg"]);
        let listed = memcgs.clone().filter_map(|memcg| {
            let id = memcg["id"].as_u64().unwrap_or(0);
            Some((memcg["css"].as_str()?.to_owned(), memcg["serial"].as_u64()?, id.try_into().ok()?))
        });
        assert_eq!(listed.collect::<BTreeSet<_>>(), truth, "dying, by \"{backend}\"");
        let paths: BTreeSet<_> = memcgs.filter_map(|memcg| memcg["path"].as_str()).collect();
        assert_eq!(paths, zombies.paths(), "dying, by \"{backend}\"");
    }
}

fn memcg(event: &Event) -> Memcg {
    let facts = (event.css(), event.serial(), event.css_flags(), event.memcg_id());
    let (Some(css), Some(serial), Some(flags), Some(id)) = facts else {
        panic!("the walk does not tell which memcg this is: {event:?}")
    };
    Memcg { css, serial, flags, id }
}

fn is_dying(event: &Event) -> bool {
    event.css_flags().is_some_and(|flags| flags & CssFlag::ONLINE == 0)
}

/// All that was read; without the time, and without the charge where it is in motion.
fn facts(snapshot: &Snapshot) -> Vec<(EventHeader, Vec<u8>)> {
    let facts = snapshot.events.iter().map(|event| {
        let header = *event.header();
        let charged_pages = if is_dying(event) { header.charged_pages } else { 0 };
        (EventHeader { t_ns: 0, charged_pages, ..header }, event.name().unwrap_or_default().to_vec())
    });
    facts.collect()
}

/// Two processes create and remove without pause: what is there all the time is seen, and nothing twice.
#[test]
fn walks_while_cgroups_come_and_go() {
    let _machine = vm();
    let zombies = Zombies::make("steady");
    let home = Cgroup::home("coming-and-going");
    let _live: Vec<_> = (0..200).map(|number| home.child(number.to_string())).collect();
    let layout = Kernel::probe(None).expect("what every command needs").layout;
    let mut walks = [Walk::program(&layout), Walk::kcore(&layout)].map(|walk| walk.expect("a way to walk"));
    let steady = oracle::memcgs();
    let mut rounds = 0;
    thread::scope(|scope| {
        let storm = scope.spawn(|| storm(&home, 2, 1000));
        while !storm.is_finished() {
            for walk in &mut walks {
                let snapshot = take_walk(walk).expect("a walk");
                let seen: BTreeSet<_> = snapshot.events.iter().map(memcg).collect();
                assert_eq!(seen.len(), snapshot.events.len(), "\"{}\" sees none twice", walk.means());
                let missing: Vec<_> = steady.difference(&seen).collect();
                assert!(missing.is_empty(), "\"{}\" misses {missing:?}", walk.means());
            }
            rounds += 1;
        }
    });
    assert!(rounds > 0);
    expect_dying(zombies.dying.len() as u64);
}

/// Where programs are not run on demand, /proc/kcore is read; also after capabilities were dropped.
#[test]
fn trace_without_test_runs() {
    let _machine = vm();
    let zombies = Zombies::make("no-test-runs");
    let mut command = command();
    without_test_runs(command.args(["trace", "-o", "json", "--grace", "0s"]));
    let outcome = Tracer::spawn(&mut command).stop();
    assert_leaked(&outcome, &zombies.paths());
    assert!(outcome.stderr.contains("/proc/kcore"), "it says what it does: {}", outcome.stderr);
    assert_eq!(outcome.count("dying_before_start"), zombies.dying.len() as u64, "{}", outcome.summary);
}

#[test]
fn killed_and_started_again() {
    let _machine = vm();
    let zombies = Zombies::make("killed");
    let before = Attached::now();
    let tracer = Tracer::start(&[]);
    assert_ne!(Attached::now(), before, "something is attached");
    tracer.signal(Signal::SIGKILL);
    drop(tracer);
    eventually("the kernel to detach what was killed", || {
        let now = Attached::now();
        if now == before { Ok(()) } else { Err(format!("{now:?}, before: {before:?}")) }
    });
    let outcome = Tracer::start(&["--grace", "0s"]).stop();
    assert_leaked(&outcome, &zombies.paths());
    assert_eq!(outcome.count("dying_before_start"), zombies.dying.len() as u64, "{}", outcome.summary);
}

/// The tracer sleeps through a storm in which zombies are made: a walk makes good for what it lost.
#[test]
fn zombies_of_a_storm_that_was_lost() {
    const ZOMBIES: usize = 30;

    let _machine = vm();
    let home = Cgroup::home("lost-storm");
    expect_dying(0);
    let mut tracer = Tracer::start(&["--perf-pages", "1", "--grace", "1s"]);
    tracer.signal(Signal::SIGSTOP);
    // Overflows buffers of a page.
    storm(&home, 2, 500);
    let tasks: Vec<_> = (0..ZOMBIES)
        .map(|number| {
            let cgroup = home.child(format!("zombie-{number}"));
            let task = unreaped_task(&cgroup);
            cgroup.remove();
            (cgroup.path().to_owned(), task)
        })
        .collect();
    storm(&home, 2, 500);
    expect_dying(ZOMBIES as u64);
    tracer.signal(Signal::SIGCONT);
    // A loss shows in the events that come after it.
    storm(&home, 2, 50);
    let paths: BTreeSet<_> = tasks.iter().map(|(path, _)| path.as_str()).collect();
    for path in &paths {
        tracer.event("leaked", path);
    }
    let outcome = tracer.stop();
    assert_leaked(&outcome, &paths);
    assert!(outcome.count("lost_events") > 0, "{}", outcome.summary);
    assert!(outcome.count("reconciled_added") > 0, "{}", outcome.summary);
}

/// A line for each sample, `figure HOW MICROSECONDS`: the walk by each of its means.
#[test]
#[ignore = "measures; `cargo xtask bench` runs it"]
fn walk_speed() {
    const MEMCGS: usize = 65_000;
    const ROUNDS: usize = 5;

    let _machine = vm();
    let home = Cgroup::home("speed");
    for number in 0..MEMCGS {
        fs::create_dir(home.directory().join(number.to_string())).expect("mkdir");
    }
    let layout = Kernel::probe(None).expect("what every command needs").layout;
    let mut walks = [Walk::program(&layout), Walk::kcore(&layout)].map(|walk| walk.expect("a way to walk"));
    let tell = |how: &str, took: Duration, memcgs: usize| {
        assert!(memcgs > MEMCGS, "\"{how}\" sees {memcgs} memcgs");
        println!("figure {how} {:.3}", took.as_secs_f64() * 1e6 / memcgs as f64);
    };
    for _ in 0..ROUNDS {
        for (walk, how) in walks.iter_mut().zip(["walk", "kcore"]) {
            let Walks { memcgs, took, .. } = walk.walk(|_| ()).expect("a walk");
            tell(how, took, memcgs as usize);
        }
    }
}

/// These are the leaked ones, no others are dying, and that is the whole truth.
fn assert_leaked(outcome: &Outcome, paths: &BTreeSet<&str>) {
    let listed: Vec<_> = outcome.survivors.iter().filter_map(|line| line["memcg"]["path"].as_str()).collect();
    assert_eq!(listed.len(), paths.len(), "{listed:?}");
    assert_eq!(BTreeSet::from_iter(listed), *paths);
    let counts = ["dying", "leaked"].map(|name| outcome.count(name));
    assert_eq!(counts, [paths.len() as u64; 2], "dying and leaked: {}", outcome.summary);
    assert_eq!(outcome.summary["conclusive"], true, "{}", outcome.summary);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}
