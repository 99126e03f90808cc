//! Mount points of cgroup hierarchies, and their directories.

use std::{
    fs, iter,
    path::{Path, PathBuf},
};

/// The mounted cgroup versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    V1,
    V2,
    /// Both: each controller is in one of them.
    Hybrid,
}

/// The mounted cgroup versions; `None`: neither, or /proc cannot be read.
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

/// A directory and all its descendants; those that come and go meanwhile may be missed.
pub(super) fn directories(root: &Path) -> impl Iterator<Item = PathBuf> {
    let mut pending = vec![root.to_owned()];
    iter::from_fn(move || {
        let directory = pending.pop()?;
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
        pending.extend(below.map(|entry| entry.path()));
        Some(directory)
    })
}

/// The mount point of the first mount of this file system type whose super options satisfy `accept`. mountinfo(5): the
/// type and the super options follow the separator ` - `; spaces in paths are octal escapes.
pub(super) fn mount_point(mounts: &str, fs_type: &str, accept: impl Fn(&str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = file_system.split(' ');
        let found = fields.next() == Some(fs_type) && accept(fields.nth(1)?);
        found.then(|| PathBuf::from(mount.split(' ').nth(4).unwrap_or_default().replace("\\040", " ")))
    })
}
