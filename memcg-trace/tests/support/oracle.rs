//! The kernel's own counts of what is dying, which memcg-trace is compared with.

use std::{fs, path::Path};

use super::{
    cgroup::{Cgroup, Version, hierarchy},
    eventually, evict_stocks,
};

/// Dying cgroups of the machine: `cgroup.stat` on v2, the surplus of /proc/cgroups over the directories on v1.
pub fn dying() -> u64 {
    let (version, mount) = hierarchy();
    match version {
        Version::V1 => surplus("memory", &mount),
        Version::V2 => stat(&mount, "nr_dying_descendants").expect("cgroup.stat has nr_dying_descendants"),
    }
}

/// Dying memcgs below a cgroup, where the kernel counts them (v2, 6.12).
pub fn dying_memcgs(cgroup: &Cgroup) -> Option<u64> {
    stat(cgroup.directory(), "nr_dying_subsys_memory")
}

/// Dying cgroups as /proc/cgroups tells. On v2 each row counts the whole hierarchy, and the memory controller's is gone
/// since 6.12 (af000ce85293).
pub fn dying_by_proc() -> u64 {
    let (version, mount) = hierarchy();
    surplus(if version == Version::V1 { "memory" } else { "pids" }, &mount)
}

/// Waits until the kernel counts this many; what is being freed takes it a few milliseconds.
pub fn expect_dying(expected: u64) {
    eventually(&format!("{expected} dying cgroups"), || {
        let counts = (dying(), dying_by_proc());
        if counts == (expected, expected) {
            Ok(())
        } else {
            evict_stocks();
            Err(format!("the kernel counts {} (cgroup.stat) and {} (/proc/cgroups)", counts.0, counts.1))
        }
    });
}

fn surplus(controller: &str, mount: &Path) -> u64 {
    let table = fs::read_to_string("/proc/cgroups").expect("/proc/cgroups");
    let row = table.lines().find_map(|line| line.strip_prefix(controller)?.strip_prefix('\t'));
    let count = row.and_then(|row| row.split_whitespace().nth(1)?.parse::<u64>().ok());
    let count = count.unwrap_or_else(|| panic!("/proc/cgroups has no {controller}:\n{table}"));
    count.saturating_sub(directories(mount))
}

fn directories(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
    1 + below.map(|entry| directories(&entry.path())).sum::<u64>()
}

fn stat(directory: &Path, counter: &str) -> Option<u64> {
    let stat = fs::read_to_string(directory.join("cgroup.stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix(counter)?.strip_prefix(' ')?.parse().ok())
}
