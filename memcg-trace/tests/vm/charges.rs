//! What `scan` says a memcg is charged for, beside the memory.stat that it has, or had when it could still be read.

use serde_json::Value;

use crate::{
    expectations::{Fate, kernel},
    support::{
        cgroup::{Cgroup, Version, hierarchy},
        oracle::expect_dying,
        pins::{PAGE, TmpfsFile},
        scan::Scan,
    },
    vm,
};

/// So far counters lag behind, on each of two CPUs (`MEMCG_CHARGE_BATCH`, include/linux/memcontrol.h: 32, since 6.1 64).
const LAG: u64 = 2 * 64 * PAGE;

/// Kinds in the output, their names in memory.stat of v2 and of v1.
const KINDS: [(&str, &str, &str); 3] =
    [("file", "file", "cache"), ("shmem", "shmem", "shmem"), ("anon", "anon", "rss")];

#[test]
fn charges_are_those_of_memory_stat() {
    let _machine = vm();
    expect_dying(0);
    let home = Cgroup::home("charges");
    let victim = home.child("victim");
    let file = TmpfsFile::written_in(&victim);
    let stat = stat(&victim);
    assert!(stat[1].abs_diff(TmpfsFile::BYTES) <= LAG, "shmem by memory.stat: {stat:?}");
    assert_same(&charges(&["--all"], &victim), stat);
    victim.remove();
    if kernel().tmpfs == Fate::Leaks {
        expect_dying(1);
        let charges = charges(&[], &victim);
        assert_same(&charges, stat);
    }
    drop(file);
}

/// In the order of [`KINDS`], bytes.
fn stat(cgroup: &Cgroup) -> [u64; 3] {
    let stat = cgroup.read("memory.stat");
    let value =
        |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    KINDS.map(|(_, v2, v1)| {
        let name = if hierarchy().0 == Version::V1 { v1 } else { v2 };
        value(name).unwrap_or_else(|| panic!("no {name} in {stat}"))
    })
}

/// `charges` of a memcg that a scan lists.
fn charges(arguments: &[&str], cgroup: &Cgroup) -> Value {
    let mut scan = Scan::run(arguments);
    let line = scan.lines.iter_mut().find(|line| line["memcg"]["path"] == cgroup.path());
    line.map(|line| line["memcg"]["charges"].take()).unwrap_or_else(|| panic!("not listed: {}", scan.summary))
}

fn assert_same(charges: &Value, stat: [u64; 3]) {
    for ((kind, ..), bytes) in KINDS.into_iter().zip(stat) {
        let charged = charges[kind].as_u64().unwrap_or_else(|| panic!("no {kind} in {charges}"));
        assert!(charged.abs_diff(bytes) <= LAG, "{kind}: {bytes} by memory.stat, but {charges}");
    }
}
