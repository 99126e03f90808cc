//! The kernel's own counts of cgroups and memcgs, to compare a walk with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    hierarchy::Controller,
    mounts::{directories, mount_point},
};
use crate::{kernel::mountinfo, record::Version};

/// The kernel's counts; absent where this kernel has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KernelCounts {
    /// Cgroups of the hierarchy, dying ones included (/proc/cgroups). v2: includes those without a memcg.
    pub cgroups: Option<u64>,
    /// v2 (cgroup.stat); without dying memcgs whose directory still exists.
    pub dying_cgroups: Option<u64>,
    /// v2. Since 6.12 from cgroup.stat (ab0312526867), where removed ones count as live until they are offline; before,
    /// the number of directories with a memcg.
    pub live_memcgs: Option<u64>,
    pub dying_memcgs: Option<u64>,
}

impl KernelCounts {
    /// Reads the counts of the whole hierarchy.
    pub fn now(controller: &Controller) -> Self {
        let proc = fs::read_to_string("/proc/cgroups").unwrap_or_default();
        let stat = match controller.version {
            Version::V1 => String::new(),
            Version::V2 => fs::read_to_string(controller.mount.join("cgroup.stat")).unwrap_or_default(),
        };
        let mut counted = Self::parse(controller.version, &proc, &stat);
        if controller.version == Version::V2 {
            counted.live_memcgs = counted.live_memcgs.or_else(|| Some(controller.census().live));
        }
        counted
    }

    /// Reads the counts below one cgroup; v2 only.
    pub fn below(version: Version, directory: &Path) -> Self {
        match version {
            Version::V1 => Self::default(),
            Version::V2 => {
                let stat = fs::read_to_string(directory.join("cgroup.stat")).unwrap_or_default();
                Self::parse(version, "", &stat)
            }
        }
    }

    fn parse(version: Version, proc: &str, stat: &str) -> Self {
        let stat = |name: &str| {
            stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        // Columns: name, hierarchy, number of cgroups, enabled. All v2 controllers (hierarchy 0) have the same number.
        // The memory controller has no row since 6.12 (af000ce85293).
        let mut rows = proc.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| match version {
            Version::V1 => row.first() == Some(&"memory"),
            Version::V2 => row.get(1) == Some(&"0") && row.get(3) == Some(&"1"),
        });
        Self {
            cgroups: row.and_then(|row| row.get(2)?.parse().ok()),
            dying_cgroups: stat("nr_dying_descendants"),
            live_memcgs: stat("nr_subsys_memory"),
            dying_memcgs: stat("nr_dying_subsys_memory"),
        }
    }
}

/// Dying cgroups by controller, where the kernel counts them: v2 since 6.12 (cgroup.stat, ab0312526867), and every
/// mounted v1 hierarchy (/proc/cgroups minus the directories). `cgroup` is the number of all dying
/// cgroups of a v2 hierarchy, with or without a controller.
pub fn dying_by_controller() -> BTreeMap<String, u64> {
    let (mounts, cgroups) = (mountinfo::own(), fs::read_to_string("/proc/cgroups").unwrap_or_default());
    let mut dying = BTreeMap::new();
    if let Some(mount) = mount_point(&mounts, "cgroup2", |_| true) {
        let stat = fs::read_to_string(mount.join("cgroup.stat")).unwrap_or_default();
        dying.extend(dying_in(&stat));
    }
    let mut counted = BTreeMap::<PathBuf, u64>::new();
    for (controller, all) in on_v1(&cgroups) {
        let mounted = |options: &str| options.split(',').any(|option| option == controller);
        let Some(mount) = mount_point(&mounts, "cgroup", mounted) else { continue };
        let live = *counted.entry(mount).or_insert_with_key(|mount| directories(mount).count() as u64);
        dying.insert(controller.to_owned(), all.saturating_sub(live));
    }
    dying
}

/// Parses cgroup.stat.
fn dying_in(stat: &str) -> BTreeMap<String, u64> {
    let counter = |name: &str, line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.strip_prefix(name)?.to_owned(), value.parse().ok()?))
    };
    let by_controller = stat.lines().filter_map(|line| counter("nr_dying_subsys_", line));
    let all = stat.lines().find_map(|line| counter("nr_dying_descendants", line));
    by_controller.chain(all.map(|(_, all)| ("cgroup".to_owned(), all))).collect()
}

/// The v1 controllers in /proc/cgroups, with the number of cgroups in their hierarchy.
fn on_v1(cgroups: &str) -> impl Iterator<Item = (&str, u64)> {
    cgroups.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, hierarchy, all) = (columns.next()?, columns.next()?, columns.next()?);
        let v1 = hierarchy.parse::<u32>().is_ok_and(|hierarchy| hierarchy != 0);
        if v1 { Some((name, all.parse().ok()?)) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str =
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t2\t4\t1\nmemory\t4\t26\t1\npids\t0\t9\t1\n";
    const V2: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nhugetlb\t0\t7\t0\npids\t0\t9\t1\n";

    #[test]
    fn v1_counts_cgroups() {
        let counted = KernelCounts::parse(Version::V1, V1, "");
        assert_eq!(counted, KernelCounts { cgroups: Some(26), ..KernelCounts::default() });
    }

    #[test]
    fn v2_counts_memcgs_since_6_12() {
        let stat = "nr_descendants 5\nnr_subsys_memory 6\nnr_dying_descendants 2\nnr_dying_subsys_memory 3\n";
        let counted = KernelCounts::parse(Version::V2, V2, stat);
        assert_eq!((counted.cgroups, counted.dying_cgroups), (Some(9), Some(2)));
        assert_eq!((counted.live_memcgs, counted.dying_memcgs), (Some(6), Some(3)));
        let older = KernelCounts::parse(Version::V2, V2, "nr_descendants 5\nnr_dying_descendants 2\n");
        assert_eq!((older.dying_cgroups, older.dying_memcgs), (Some(2), None));
    }

    #[test]
    fn counts_by_controller_where_the_kernel_does() {
        let by_controller =
            dying_in("nr_descendants 9\nnr_dying_descendants 3\nnr_dying_subsys_io 3\nnr_subsys_io 8\n");
        assert_eq!(by_controller, BTreeMap::from([("io".to_owned(), 3), ("cgroup".to_owned(), 3)]));
        let older = dying_in("nr_descendants 9\nnr_dying_descendants 3\n");
        assert_eq!(older, BTreeMap::from([("cgroup".to_owned(), 3)]));
        assert_eq!(dying_in(""), BTreeMap::new());
    }

    #[test]
    fn controllers_of_v1() {
        let cgroups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nblkio\t3\t40\t1\npids\t0\t9\t1\n";
        assert_eq!(on_v1(cgroups).collect::<Vec<_>>(), [("blkio", 40)]);
    }
}
