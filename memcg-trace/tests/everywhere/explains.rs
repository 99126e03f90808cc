//! `explain`: pins that were there before the tool was, each named with who has it, and freed by what is printed.

mod kinds;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process,
};

use memcg_trace::{
    kernel::{memory, privileges::raise_limits},
    scenarios::stage::Disk,
};
use serde_json::Value;

use self::kinds::{Expected, KINDS, Kind, Pinned};
use crate::support::{
    cgroup::Cgroup,
    eventually, evict_stocks,
    explain::{Explain, refs},
    machine,
    pins::memory_pins,
    process::{command, run},
    tracer::parse,
};

/// One cgroup that is gone, and what pins it.
struct Zombie {
    name: &'static str,
    id: u64,
    pinned: Pinned,
}

impl Zombie {
    fn new(home: &Cgroup, disk: &Path, kind: &Kind) -> Self {
        let Kind { name, pin, .. } = kind;
        let cgroup = home.child(name);
        let pinned = pin(&cgroup, disk);
        let id = cgroup.id();
        cgroup.remove();
        Self { name, id, pinned }
    }

    /// Kind, thing, holder and number of references.
    fn check(&self, explain: &Explain) -> Result<(), String> {
        let pins = explain.of_cgroup(self.id);
        let Expected { pin, refs: expected, what, holder } = &self.pinned.expected;
        let parts: Vec<&&Value> = pins.iter().filter(|part| part["pin"] == *pin).collect();
        let all: u64 = parts.iter().map(|part| refs(part)).sum();
        let named = what.as_deref().is_none_or(|what| parts.iter().any(|part| part["what"] == what));
        let held = holder.is_none_or(|pid| {
            let mut holders = parts.iter().flat_map(|part| part["holders"].as_array().into_iter().flatten());
            holders.any(|holder| holder["pid"] == pid || holder["parent"]["pid"] == pid)
        });
        match expected.contains(&all) && named && held {
            true => Ok(()),
            false => Err(format!("{}: not {:?} but {pins:#?}", self.name, self.pinned.expected)),
        }
    }
}

/// A file system on a disk; it goes with the test.
struct Mounted {
    directory: PathBuf,
    disk: Option<Disk>,
}

impl Mounted {
    fn new() -> Self {
        let directory = PathBuf::from(format!("/dev/shm/memcg-trace-test-explain-{}", process::id()));
        fs::create_dir(&directory).expect("a directory on the tmpfs");
        let disk = Disk::mount(&directory, 16 << 20).expect("a file system");
        Self { directory, disk: Some(disk) }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("disk")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.disk.take();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// And not a block of zeros: the last pages of memory, and those before a hole, were on no list and in no map.
#[test]
fn a_block_that_cannot_be_read_is_none() {
    let _machine = machine();
    raise_limits();
    let mut memory = memory::open().expect("a way to read memory");
    assert_eq!(memory.block(0).expect("an answer"), None);
}

#[test]
fn each_kind_is_named_and_freed_by_what_is_printed() {
    let _machine = machine();
    let home = Cgroup::home("explain");
    let disk = Mounted::new();
    let kinds = KINDS.iter().filter(|kind| !kind.is_memory || memory_pins());
    let mut zombies: Vec<Zombie> = kinds.map(|kind| Zombie::new(&home, &disk.path(), kind)).collect();
    eventually("every pin to be named", || {
        evict_stocks();
        let explain = Explain::of(&home);
        explain.complete()?;
        zombies.iter().try_for_each(|zombie| zombie.check(&explain))
    });

    let ours: BTreeSet<u32> = zombies.iter().flat_map(|zombie| zombie.pinned.pids.iter().copied()).collect();
    let mut left = zombies.len();
    eventually("what is printed to free them all", || {
        let explain = Explain::of(&home);
        if explain.summary.is_null() {
            // No dying memcg is below it.
            assert!(explain.stderr.contains("memcg-trace scan"), "{}", explain.stderr);
            return Ok(());
        }
        explain.act(&ours);
        // Up to 5.10 a writeback structure stays, clean, as long as an inode is attached to it: files must be closed, too.
        if explain.pins.iter().all(|part| part["pin"] == "writeback") {
            zombies.clear();
        }
        evict_stocks();
        left = explain.pins.len();
        Err(format!("{left} parts are left: {:#?}", explain.pins))
    });
}

#[test]
fn a_parent_is_pinned_by_its_child() {
    let _machine = machine();
    let home = Cgroup::home("explain-child");
    let parent = home.child("parent");
    parent.enable_memory();
    let child = parent.child("child");
    let pinned = kinds::cgroup_namespace(&child, Path::new("/"));
    let (parent_id, child_id) = (parent.id(), child.id());
    child.remove();
    parent.remove();
    eventually("the parent's child to be named", || {
        evict_stocks();
        home.reclaim();
        let explain = Explain::of(&home);
        explain.complete()?;
        let parts = explain.of_cgroup(parent_id);
        let child_serial = &explain.of_cgroup(child_id).first().ok_or("no child")?["memcg"]["serial"];
        let is_child = |part: &&&Value| part["pin"] == "child" && part["child_serial"] == *child_serial;
        let named = parts.iter().find(is_child).ok_or_else(|| format!("{parts:#?}"))?;
        let act = format!("memcg-trace explain {child_serial}");
        if named["act"] == act { Ok(()) } else { Err(format!("{named:#?}")) }
    });
    drop(pinned);
}

#[test]
fn a_target_that_is_not_there_is_told_with_the_next_step() {
    let _machine = machine();
    let home = Cgroup::home("explain-live");
    for (target, says) in [(home.path(), "is not dying"), ("no-such-container", "memcg-trace scan")] {
        let explain = Explain::run(&[target]);
        assert_eq!(explain.code, Some(1), "{target}");
        assert!(explain.stderr.contains(says), "{}", explain.stderr);
    }
}

/// Page cache goes, and only where it is clean; what it pinned is freed.
#[test]
fn reap_frees_what_clean_page_cache_pins() {
    let _machine = machine();
    if !memory_pins() {
        return assert_eq!(reap(&["--dry-run"]).pop().expect("a summary")["files_dropped"], 0);
    }
    let home = Cgroup::home("reap");
    let disk = Mounted::new();
    let by_name = |name: &str| KINDS.iter().find(|kind| kind.name == name).expect("a kind");
    let cached = Zombie::new(&home, &disk.path(), by_name("page-cache"));
    let tmpfs = Zombie::new(&home, &disk.path(), by_name("tmpfs"));
    eventually("the two to be explained", || {
        evict_stocks();
        let explain = Explain::of(&home);
        [&cached, &tmpfs].into_iter().try_for_each(|zombie| zombie.check(&explain))
    });
    let file = cached.pinned.expected.what.clone().expect("a file");
    let is_file = |line: &&Value| line["type"] == "reaped_file" && line["path"] == file;
    let planned = reap(&["--dry-run"]);
    let plan = planned.iter().find(is_file).expect("the file");
    assert_eq!((&plan["refused"], &plan["memcgs"]), (&Value::Null, &Value::from(1)));
    cached.check(&Explain::of(&home)).expect("a dry run changes nothing");
    let other = reap(&[&format!("{}/tmpfs", home.path())]);
    assert!(!other.iter().any(|line| is_file(&line)), "of another memcg: {other:#?}");
    eventually("the memcg to be freed", || {
        let reaped = reap(&[home.path()]);
        evict_stocks();
        let explain = Explain::of(&home);
        tmpfs.check(&explain).expect("a file on a tmpfs is not to be dropped");
        match explain.of_cgroup(cached.id).is_empty() {
            true => Ok(()),
            false => Err(format!("{:#?} {:#?}", reaped.last(), explain.pins)),
        }
    });
}

/// The lines of `memcg-trace reap -o json`.
fn reap(arguments: &[&str]) -> Vec<Value> {
    let output = run(command().args(["reap", "-o", "json"]).args(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(parse).collect()
}
