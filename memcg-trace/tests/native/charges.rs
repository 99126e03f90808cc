//! What memcgs are charged for, on this very kernel, whatever it has to find the counters by.

use std::{fs, path::PathBuf, process, process::Command};

use serde_json::Value;

use crate::support::{
    cgroup::{Cgroup, Version, hierarchy},
    machine,
    pins::{PAGE, TmpfsFile},
    scan::Scan,
};

/// So far counters lag behind on each CPU (`MEMCG_CHARGE_BATCH`, include/linux/memcontrol.h).
const BATCH: u64 = 64 * PAGE;
/// Empty files on a tmpfs; an inode and a dentry of each are some 900 bytes.
const FILES: u64 = 3_000;
const FILE_SLAB: u64 = 600;

/// Kinds in the output, their names in memory.stat of v2 and of v1.
const KINDS: [(&str, &str, &str); 3] =
    [("file", "file", "cache"), ("shmem", "shmem", "shmem"), ("anon", "anon", "rss")];

fn charges(cgroup: &Cgroup) -> Value {
    let mut scan = Scan::run(&["--all"]);
    let line = scan.lines.iter_mut().find(|line| line["memcg"]["path"] == cgroup.path());
    line.map(|line| line["memcg"]["charges"].take()).unwrap_or_else(|| panic!("not listed: {}", scan.summary))
}

fn lag() -> u64 {
    BATCH * std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64)
}

#[test]
fn kinds_are_those_of_memory_stat() {
    let _machine = machine();
    let home = Cgroup::home("charges");
    let victim = home.child("victim");
    let _file = TmpfsFile::written_in(&victim);
    let stat = victim.read("memory.stat");
    let charges = charges(&victim);
    for (kind, v2, v1) in KINDS {
        let name = if hierarchy().0 == Version::V1 { v1 } else { v2 };
        let told =
            stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok());
        let told = told.unwrap_or_else(|| panic!("no {name} in {stat}"));
        let read = charges[kind].as_u64().unwrap_or_else(|| panic!("no {kind} in {charges}"));
        assert!(read.abs_diff(told) <= lag(), "{kind}: {told} by memory.stat, but {charges}");
    }
    assert!(charges["shmem"].as_u64() >= Some(TmpfsFile::BYTES - lag()), "{charges}");
}

/// v1 has no slab in memory.stat: it must rise and fall with what is made.
#[test]
fn slab_follows_inodes_and_dentries() {
    let _machine = machine();
    let home = Cgroup::home("charged-slab");
    let victim = home.child("victim");
    let slab = || charges(&victim)["slab"].as_u64().expect("slab is known");
    let before = slab();
    let files = Files(PathBuf::from(format!("/dev/shm/memcg-trace-test-slab-{}", process::id())));
    fs::create_dir(&files.0).expect("a directory on the tmpfs");
    let script = "i=0; while [ $i -lt $1 ]; do : > $0/$i; i=$((i + 1)); done";
    victim.run(Command::new("sh").args(["-c", script]).arg(&files.0).arg(FILES.to_string()));
    let full = slab();
    assert!(full >= before + FILES * FILE_SLAB, "{before} before, {full} with {FILES} files");
    drop(files);
    let after = slab();
    assert!(after < before + (full - before) / 2, "{full} with {FILES} files, {after} without");
}

/// They go with the test.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
