//! `scan` where there is much to see, and where it does not hold still.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use memcg_trace::{kernel::Kernel, source::take_walk};

use crate::support::{cgroup::Cgroup, eventually, machine, scan::Scan, storm::storm};

const LIVE: usize = 20_000;
const DYING: usize = 500;
const WALKS: usize = 1_000;

/// Directories below a cgroup, made as fast as can be; the ids of their cgroups.
fn directories(home: &Cgroup, count: usize, name: &str) -> BTreeSet<u64> {
    let make = |number| {
        let path = home.directory().join(format!("{name}-{number}"));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("mkdir {}: {error}", path.display()));
        fs::metadata(&path).expect("a directory just made").ino()
    };
    (0..count).map(make).collect()
}

/// Files whose page is charged to a removed cgroup; they go with the test.
struct Pages(PathBuf);

impl Pages {
    /// One for each of these directories.
    fn pin(home: &Cgroup, count: usize, name: &str) -> Self {
        let pages = Self(PathBuf::from(format!("/dev/shm/memcg-trace-test-pages-{}", process::id())));
        fs::create_dir(&pages.0).expect("a directory on the tmpfs");
        let script = "for n in $(seq 0 $(($3 - 1))); do \
            sh -c 'echo $$ > \"$0/cgroup.procs\"; echo x > \"$1\"' \"$1-$n\" \"$2/$n\" && rmdir \"$1-$n\" || exit 1; \
            done";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script, "sh"])
            .arg(home.directory().join(name))
            .arg(&pages.0)
            .arg(count.to_string());
        assert!(shell.status().expect("sh").success(), "cannot make zombies in {}", home.path());
        pages
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn twenty_thousand_live_and_500_dying() {
    let _machine = machine();
    let home = Cgroup::home("many");
    let live = directories(&home, LIVE, "live");
    let dying = directories(&home, DYING, "dying");
    let pages = Pages::pin(&home, DYING, "dying");
    let expected: BTreeSet<_> =
        live.iter().map(|&id| (id, "online")).chain(dying.iter().map(|&id| (id, "dying"))).collect();
    let scan = eventually("all to be offline", || {
        let scan = Scan::run(&["--all"]);
        let seen: BTreeSet<_> = scan.below(&home).into_iter().collect();
        let wrong = seen.symmetric_difference(&expected).count();
        if wrong == 0 { Ok(scan) } else { Err(format!("{wrong} differ from what was made")) }
    });
    scan.assert_agrees();
    assert_eq!(scan.below(&home).len(), LIVE + DYING, "each once");
    drop(pages);
}

#[test]
fn churn_hides_nothing_from_a_thousand_walks() {
    let _machine = machine();
    let home = Cgroup::home("churn");
    let live = directories(&home, 300, "live");
    let kernel = Kernel::probe(None).expect("a kernel that can be walked");
    let mut walk = kernel.walk().expect("the walk");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                storm(&home, 2, 200);
            }
        });
        // Ends the storm also if a walk fails.
        let _end = End(&over);
        for number in 0..WALKS {
            let snapshot = take_walk(&mut walk).unwrap_or_else(|error| panic!("walk {number}: {error}"));
            let seen: Vec<u64> = snapshot.events.iter().filter_map(|event| event.cgroup_id()).collect();
            let ours = seen.iter().filter(|id| live.contains(id)).count();
            assert_eq!(ours, live.len(), "walk {number} missed some, or saw some twice");
        }
    });
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
