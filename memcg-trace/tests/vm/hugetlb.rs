//! Huge pages of hugetlbfs, which are on no list of a memcg: where the mount of cgroup v2 accounts them, from 6.7 on
//! (8cba9576df60), until pages move to the parent (7.1).

use std::{
    collections::BTreeSet,
    fs,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process,
};

use nix::mount::{MsFlags, mount, umount};

use crate::{
    support::{
        cgroup::{Cgroup, hierarchy},
        eventually, evict_stocks,
        explain::{Explain, refs},
        forked::{Forked, ended_well},
        mapping::filled,
    },
    vm,
};

/// Bytes of a huge page on x86-64.
const HUGE: usize = 2 << 20;
const PAGES: usize = 2;
const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// A hugetlbfs, with huge pages in its pool and charged to memcgs.
struct HugePages(PathBuf);

impl HugePages {
    fn new() -> Self {
        let directory = PathBuf::from(format!("/tmp/memcg-trace-test-hugetlb-{}", process::id()));
        fs::create_dir(&directory).expect("a directory");
        let huge = Self(directory);
        account("memory_hugetlb_accounting").expect("remount the hierarchy");
        let pool = (4 * PAGES).to_string();
        fs::write(POOL, &pool).expect("a pool of huge pages");
        assert_eq!(fs::read_to_string(POOL).expect("the pool").trim(), pool, "huge pages of the VM");
        mount(Some("none"), &huge.0, Some("hugetlbfs"), MsFlags::empty(), None::<&str>)
            .expect("mount hugetlbfs");
        huge
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = umount(&self.0);
        let _ = fs::remove_dir(&self.0);
        let _ = fs::write(POOL, "0");
        // Whoever panics already has said why.
        let _ = account("");
    }
}

/// Mounts the hierarchy anew with these options.
fn account(options: &str) -> nix::Result<()> {
    mount(None::<&str>, &hierarchy().1, None::<&str>, MsFlags::MS_REMOUNT, Some(options))
}

#[test]
fn of_a_file_and_of_a_process() {
    let _machine = vm();
    let huge = HugePages::new();
    let home = Cgroup::home("hugetlb");
    let (of_file, of_process) = (home.child("file"), home.child("process"));
    let path = huge.0.join("file");
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    ended_well(&of_file, || {
        filled(PAGES * HUGE, libc::MAP_SHARED, file.as_raw_fd());
    });
    drop(file);
    let task = Forked::new(Some(&of_process), || {
        filled(PAGES * HUGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB, -1);
    });
    let task = task.move_to_root();
    let ids = [&of_file, &of_process].map(|cgroup| {
        let id = cgroup.id();
        cgroup.remove();
        id
    });

    eventually("huge pages to be named", || {
        evict_stocks();
        let explain = Explain::of(&home);
        explain.complete()?;
        let parts = ids.map(|id| explain.of_cgroup(id));
        let of_file = parts[0].iter().find(|part| part["pin"] == "hugetlb").ok_or("no file")?;
        let named = of_file["what"].as_str().map(Path::new) == Some(&path);
        // One of each page; beside them, the process has small ones.
        let of_process: u64 = parts[1].iter().map(|part| part["folios"]["large"].as_u64().unwrap_or(0)).sum();
        let held = parts[1].iter().all(|part| part["holders"][0]["pid"] == task.pid());
        match named && refs(of_file) == PAGES as u64 && of_process == PAGES as u64 && held {
            true => Ok(()),
            false => Err(format!("{path:?} of {}: {:#?}", task.pid(), explain.pins)),
        }
    });
    let ours = BTreeSet::from([task.pid()]);
    eventually("what is printed to free them", || {
        let explain = Explain::of(&home);
        if explain.summary.is_null() {
            return Ok(());
        }
        explain.act(&ours);
        Err(format!("{:#?}", explain.pins))
    });
}
