//! Mount points of file systems, by device.

use std::fs;

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    cause::Mount,
    kernel::mountinfo::{self, MountLine},
};

/// Mounts, of our own mount namespace first. Those of others are read when something is not mounted here.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    by_device: HashMap<(u32, u32), Vec<Mount>>,
    /// A process of each mount namespace that was not read yet.
    others: Vec<u32>,
}

impl Mounts {
    /// Those of our own mount namespace; `others` are processes of all of them.
    pub fn own(others: Vec<u32>) -> Self {
        let mut mounts = Self { by_device: HashMap::new(), others };
        mounts.add(&mountinfo::own(), None);
        mounts
    }

    fn read(&mut self, path: &str, pid: Option<u32>) {
        self.add(&fs::read(path).unwrap_or_default(), pid);
    }

    fn add(&mut self, mountinfo: &[u8], pid: Option<u32>) {
        for MountLine { device, root, point, .. } in mountinfo::parse(mountinfo) {
            self.by_device.entry(device).or_default().push(Mount { point, pid, root });
        }
    }

    /// Reads those of one more mount namespace, if there is one.
    fn read_more(&mut self) -> bool {
        let Some(pid) = self.others.pop() else { return false };
        self.read(&format!("/proc/{pid}/mountinfo"), Some(pid));
        true
    }

    /// The mount that shows `path` of that device: the whole file system before a part of it, the shortest mount point first.
    pub fn find(&mut self, device: (u32, u32), path: Option<&[u8]>) -> Option<&Mount> {
        while !self.by_device.contains_key(&device) && self.read_more() {}
        let mounts = self.by_device.get(&device)?;
        let shows = |mount: &&Mount| match (&*mount.root, path) {
            (b"/", _) => true,
            (root, Some(path)) => {
                path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            (_, None) => false,
        };
        mounts
            .iter()
            .filter(shows)
            .min_by_key(|mount| (mount.pid.is_some(), *mount.root != *b"/", mount.point.len(), mount.pid))
    }

    /// The mounts whose root has this name, such as `net:[4026531840]`: bind mounts of namespaces.
    /// Those of mount namespaces that were not read when it `is_late` are missing.
    pub fn of_root(&mut self, root: &[u8], mut is_late: impl FnMut() -> bool) -> Vec<Mount> {
        while !self.others.is_empty() && !is_late() {
            self.read_more();
        }
        let mut mounts: Vec<Mount> =
            self.by_device.values().flatten().filter(|mount| *mount.root == *root).cloned().collect();
        mounts.sort_unstable();
        mounts.dedup_by(|a, b| a.point == b.point);
        mounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_that_shows_a_path() {
        let lines: &[&str] = &[
            "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw",
            "23 22 254:0 /var/lib /srv/lib rw - ext4 /dev/root rw",
            "24 22 0:20 / /a\\040b\\134c rw - tmpfs tmpfs rw",
            "25 22 0:21 /pods /only/a/part rw - tmpfs tmpfs rw",
            "broken",
        ];
        let mut mounts = Mounts::default();
        mounts.add(lines.join("\n").as_bytes(), None);
        /// Device, path in its file system, and where that is seen.
        type Row<'a> = ((u32, u32), Option<&'a str>, Option<&'a str>);
        let table: &[Row<'_>] = &[
            ((254, 0), Some("/var/lib/x"), Some("/")),
            ((254, 0), None, Some("/")),
            ((0, 20), Some("/x"), Some("/a b\\c")),
            ((0, 21), Some("/pods/x"), Some("/only/a/part")),
            ((0, 21), Some("/podsx"), None),
            ((0, 21), None, None),
            ((0, 22), None, None),
        ];
        for (device, path, expected) in table {
            let found = mounts.find(*device, path.map(str::as_bytes)).map(|mount| &*mount.point);
            assert_eq!(found, expected.map(str::as_bytes), "{device:?} {path:?}");
        }
    }
}
