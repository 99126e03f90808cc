//! What each kernel does with a removed memcg: seen on booted kernels, and not by this program.

use std::{env, fs};

use nix::errno::Errno;

use crate::support::cgroup::{Version, hierarchy};

/// What becomes of a memcg that is removed while something pins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays until the pin is gone.
    Leaks,
    /// The kernel frees it all the same.
    Freed,
}

use Fate::{Freed, Leaks};

/// One kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub series: &'static str,
    /// Pages of a tmpfs file, which pin nothing since 7.1 (see src/scenarios/pages.rs).
    pub tmpfs: Fate,
    /// The same in a child whose parent was removed, too.
    pub nested: Fate,
    /// The same after the controller was disabled, with the cgroup still there.
    pub toggled: Fate,
    /// Pages in swap, which also hold the memcg ID.
    pub swap: Fate,
    /// A zombie task.
    pub task: Fate,
    /// A cgroup namespace created in the cgroup.
    pub namespace: Fate,
    /// Pages of a pipe, which pin nothing since 5.13 (see src/scenarios/pipe.rs).
    pub pipe: Fate,
    /// What mkdir fails with when all memcg IDs are in use: idr_alloc's word, then xa_alloc's.
    pub exhausted: Errno,
    /// cgroup.stat counts dying memcgs, not only cgroups (ab0312526867, 6.12).
    pub counts_dying_memcgs: bool,
    /// What memcgs are charged for is found by an address in /proc/kallsyms (6.10).
    pub packs_counters: bool,
}

/// Scenario, verdict, what it was gone after, and whether the memcg ID was held.
pub type Known = (&'static str, &'static str, Option<&'static str>, bool);

impl Kernel {
    /// What `verify` says here.
    pub fn verdicts(&self, version: Version) -> Vec<Known> {
        let judged = |name, fate, gone_after| match fate {
            Leaks => (name, "leak", Some(gone_after), false),
            Freed => (name, "clean", None, false),
        };
        let only = |name, on, row: Known| if version == on { row } else { (name, "skipped", None, false) };
        let (drop, unpin, both) = ("drop_caches", "pin_removed", "pin_removed_and_drop_caches");
        vec![
            judged("churn", Freed, ""),
            only("kmem-limit", Version::V1, judged("kmem-limit", Freed, "")),
            only("kmem-toggle", Version::V1, judged("kmem-toggle", Freed, "")),
            judged("slab-caches", Freed, ""),
            judged("tmpfs", self.tmpfs, unpin),
            // Pages are pages.
            judged("page-cache", self.tmpfs, drop),
            judged("mapped-file", self.tmpfs, both),
            judged("moved-task", self.tmpfs, unpin),
            ("swap", "leak", Some(unpin), true),
            judged("socket", Leaks, unpin),
            judged("unreaped-task", self.task, unpin),
            judged("cgroup-namespace", self.namespace, unpin),
            judged("memfd", self.tmpfs, unpin),
            judged("sysv-shm", self.tmpfs, unpin),
            judged("deleted-file", self.tmpfs, unpin),
            judged("mlocked", self.tmpfs, unpin),
            judged("huge-page", self.tmpfs, unpin),
            judged("socket-in-flight", Leaks, unpin),
            judged("orphan-socket", Leaks, unpin),
            judged("network-namespace", Leaks, unpin),
            judged("inotify", Leaks, unpin),
            judged("perf-event", Leaks, unpin),
            judged("pipe", self.pipe, unpin),
            only("controller-toggle", Version::V2, judged("controller-toggle", self.toggled, unpin)),
            judged("nested", self.nested, unpin),
            judged("dentries", Freed, ""),
            // Where pages pin nothing, the writing back of them does.
            judged("page-cache-dirty", Leaks, drop),
            // It must be asked for.
            ("id-exhaustion", "skipped", None, false),
        ]
    }
}

const MATRIX: &[Kernel] = &[
    Kernel {
        series: "5.10",
        tmpfs: Leaks,
        nested: Leaks,
        toggled: Leaks,
        swap: Leaks,
        task: Leaks,
        namespace: Leaks,
        pipe: Leaks,
        exhausted: Errno::ENOSPC,
        counts_dying_memcgs: false,
        packs_counters: false,
    },
    Kernel {
        series: "6.1",
        tmpfs: Leaks,
        nested: Leaks,
        toggled: Leaks,
        swap: Leaks,
        task: Leaks,
        namespace: Leaks,
        pipe: Freed,
        exhausted: Errno::ENOSPC,
        counts_dying_memcgs: false,
        packs_counters: false,
    },
    Kernel {
        series: "6.12",
        tmpfs: Leaks,
        nested: Leaks,
        toggled: Leaks,
        swap: Leaks,
        task: Leaks,
        namespace: Leaks,
        pipe: Freed,
        exhausted: Errno::EBUSY,
        counts_dying_memcgs: true,
        packs_counters: true,
    },
    Kernel {
        series: "7.2",
        tmpfs: Freed,
        nested: Freed,
        toggled: Freed,
        swap: Leaks,
        task: Leaks,
        namespace: Leaks,
        pipe: Freed,
        exhausted: Errno::EBUSY,
        counts_dying_memcgs: true,
        packs_counters: true,
    },
];

/// The kernel of this VM.
pub fn kernel() -> &'static Kernel {
    let variable = |name| {
        env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set: run this in a VM, by \"cargo xtask test\""))
    };
    let series = variable("MEMCG_TRACE_KERNEL");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let same =
        release.strip_prefix(&series).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    assert!(same, "this is to be kernel {series}, but it is {release}");
    let version = if variable("MEMCG_TRACE_CGROUP") == "v1" { Version::V1 } else { Version::V2 };
    assert_eq!(hierarchy().0, version, "the hierarchy that carries the memory controller");
    let row = MATRIX.iter().find(|kernel| kernel.series == series);
    row.unwrap_or_else(|| panic!("nothing is known of kernel {series}: add it to the matrix"))
}
