//! The cgroup hierarchies of the machine, and what is dying in each of them: a leak need not be the memory controller's.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::controller::{directories, mount_point};

/// Which versions are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    V1,
    V2,
    /// Both: each controller is on one of them.
    Hybrid,
}

/// Which versions are mounted; `None`: neither, or /proc does not tell.
pub fn mode() -> Option<Mode> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let v1 = mount_point(&mounts, "cgroup", |_| true).is_some();
    let v2 = mount_point(&mounts, "cgroup2", |_| true).is_some();
    match (v1, v2) {
        (true, false) => Some(Mode::V1),
        (false, true) => Some(Mode::V2),
        (true, true) => Some(Mode::Hybrid),
        (false, false) => None,
    }
}

/// Stands for all cgroups of a v2 hierarchy among its controllers.
pub const CGROUP: &str = "cgroup";

/// Dying cgroups by controller, as far as the kernel counts them: v2 since 6.12 (cgroup.stat, ab0312526867), and every
/// mounted hierarchy of v1 (the surplus of /proc/cgroups over the directories). All dying cgroups of a v2 hierarchy, whether
/// a controller knows them or not, are [`CGROUP`].
pub fn dying() -> BTreeMap<String, u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (mounts, cgroups) = (read("/proc/self/mountinfo"), read("/proc/cgroups"));
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

/// Lines of cgroup.stat.
fn dying_in(stat: &str) -> BTreeMap<String, u64> {
    let counter = |name: &str, line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.strip_prefix(name)?.to_owned(), value.parse().ok()?))
    };
    let by_controller = stat.lines().filter_map(|line| counter("nr_dying_subsys_", line));
    let all = stat.lines().find_map(|line| counter("nr_dying_descendants", line));
    by_controller.chain(all.map(|(_, all)| (CGROUP.to_owned(), all))).collect()
}

/// Controllers of /proc/cgroups that are on a hierarchy of v1, and how many cgroups that has.
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
