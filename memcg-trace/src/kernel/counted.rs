//! The kernel's own counts of cgroups and memcgs, which a walk is compared with.

use std::{fs, path::Path};

use serde::Serialize;

use super::controller::{Controller, Version};

/// What the kernel counts; absent where this kernel does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Cgroups of the hierarchy, dying ones included (/proc/cgroups). v2: also those without a memcg.
    pub cgroups: Option<u64>,
    /// v2 (cgroup.stat); not those dying memcgs whose directory still exists.
    pub dying_cgroups: Option<u64>,
    /// v2. Since 6.12 (cgroup.stat, ab0312526867), and removed ones count as live until they are offline; before, the
    /// directories that have one.
    pub live_memcgs: Option<u64>,
    pub dying_memcgs: Option<u64>,
}

impl Counted {
    /// Asks the kernel.
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

    /// Asks what is below one cgroup; v2 alone counts that.
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
        // Columns: name, hierarchy, number of cgroups, enabled. All controllers of v2 (hierarchy 0) have the same number,
        // and the memory controller has no row of its own since 6.12 (af000ce85293).
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

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str =
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t2\t4\t1\nmemory\t4\t26\t1\npids\t0\t9\t1\n";
    const V2: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nhugetlb\t0\t7\t0\npids\t0\t9\t1\n";

    #[test]
    fn v1_counts_cgroups() {
        let counted = Counted::parse(Version::V1, V1, "");
        assert_eq!(counted, Counted { cgroups: Some(26), ..Counted::default() });
    }

    #[test]
    fn v2_counts_memcgs_since_6_12() {
        let stat = "nr_descendants 5\nnr_subsys_memory 6\nnr_dying_descendants 2\nnr_dying_subsys_memory 3\n";
        let counted = Counted::parse(Version::V2, V2, stat);
        assert_eq!((counted.cgroups, counted.dying_cgroups), (Some(9), Some(2)));
        assert_eq!((counted.live_memcgs, counted.dying_memcgs), (Some(6), Some(3)));
        let older = Counted::parse(Version::V2, V2, "nr_descendants 5\nnr_dying_descendants 2\n");
        assert_eq!((older.dying_cgroups, older.dying_memcgs), (Some(2), None));
    }
}
