//! Pages that KSM merged: one page of several processes, none of which it is part of by itself. Up to 7.0 it pins a memcg.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    support::{
        cgroup::Cgroup, eventually, evict_stocks, explain::Explain, forked::Forked, mapping::filled,
        pins::PAGE,
    },
    vm,
};

const PAGES: usize = 16;

/// ksmd, at work.
struct Ksm;

impl Ksm {
    fn start() -> Self {
        Self::write("pages_to_scan", "10000");
        Self::write("run", "1");
        Self
    }

    fn write(file: &str, value: &str) {
        fs::write(Path::new("/sys/kernel/mm/ksm").join(file), value).expect("write to ksmd");
    }

    fn pages_sharing() -> u64 {
        let text = fs::read_to_string("/sys/kernel/mm/ksm/pages_sharing").expect("read from ksmd");
        text.trim().parse().expect("a number of pages")
    }
}

impl Drop for Ksm {
    /// Stops it, and gives everybody pages of their own.
    fn drop(&mut self) {
        let _ = fs::write("/sys/kernel/mm/ksm/run", "2");
    }
}

/// All of them equal.
fn mergeable() {
    let bytes = PAGES * PAGE as usize;
    let address = filled(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
    // SAFETY: it is that long.
    let advised = unsafe { libc::madvise(address.cast(), bytes, libc::MADV_MERGEABLE) };
    assert_eq!(advised, 0, "madvise: {}", std::io::Error::last_os_error());
}

#[test]
fn who_shares_a_page_is_named() {
    let _machine = vm();
    let _ksm = Ksm::start();
    let home = Cgroup::home("merged");
    let cgroup = home.child("two");
    let tasks = [0, 1].map(|_| Forked::new(Some(&cgroup), mergeable));
    eventually("all pages but one to be merged", || match Ksm::pages_sharing() {
        sharing if sharing + 1 >= 2 * PAGES as u64 => Ok(()),
        sharing => Err(format!("{sharing} pages are shared")),
    });
    let tasks = tasks.map(Forked::move_to_root);
    let id = cgroup.id();
    cgroup.remove();
    let ours = BTreeSet::from(tasks.each_ref().map(Forked::pid));
    eventually("both to be named", || {
        evict_stocks();
        let explain = Explain::of(&home);
        explain.complete()?;
        let shared = explain.of_cgroup(id).into_iter().any(|part| {
            let pids = part["holders"].as_array().into_iter().flatten();
            let pids: BTreeSet<u64> = pids.filter_map(|holder| holder["pid"].as_u64()).collect();
            part["pin"] == "anon" && pids == ours.iter().copied().map(u64::from).collect()
        });
        if shared { Ok(()) } else { Err(format!("not {ours:?}: {:#?}", explain.pins)) }
    });
    eventually("what is printed to free it", || {
        let explain = Explain::of(&home);
        if explain.summary.is_null() {
            return Ok(());
        }
        explain.act(&ours);
        evict_stocks();
        Err(format!("{:#?}", explain.pins))
    });
}
