//! Mount points of cgroup hierarchies, and their directories.

use std::{
    ffi::OsStr,
    fs, iter,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use crate::kernel::mountinfo::{self, MountLine};

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
    let mounts = mountinfo::own();
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

/// The mount point of the first mount of this file system type whose super options satisfy `accept`.
pub(super) fn mount_point(mounts: &[u8], fs_type: &str, accept: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let accepted = |mount: &MountLine<'_>| str::from_utf8(mount.super_options).is_ok_and(&accept);
    let mut found = mountinfo::parse(mounts).filter(|mount| mount.fs_type == fs_type.as_bytes());
    found.find(accepted).map(|mount| path(&mount.point))
}

/// What a mount shows, as a path in its file system: of cgroups, one that is relative to the root of our cgroup namespace.
pub(super) fn root_of(mounts: &[u8], mount: &Path) -> Option<PathBuf> {
    // Of mounts over one another, the last is seen.
    let found = mountinfo::parse(mounts).rev().find(|line| path(&line.point) == mount);
    found.map(|line| path(&line.root))
}

/// Whether a mount of cgroups that shows `root` shows the whole hierarchy; `in_namespace`: the root of our cgroup namespace
/// is below the hierarchy's root, which is then only reached by `..`.
pub(super) fn is_whole(root: &Path, in_namespace: bool) -> bool {
    let names = root.components().filter(|component| *component != Component::RootDir);
    let above = names.clone().take_while(|component| *component == Component::ParentDir).count();
    names.count() == above && (above > 0 || !in_namespace)
}

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mount_shows() {
        let mounts = "25 20 0:22 / /sys rw - sysfs sysfs rw\n\
                      30 25 0:26 /../../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n\
                      31 25 0:26 /a\\040b /mnt/a\\040b ro - cgroup2 cgroup rw\n";
        let table = [("/sys/fs/cgroup", Some("/../../..")), ("/mnt/a b", Some("/a b")), ("/mnt", None)];
        for (mount, expected) in table {
            let root = root_of(mounts.as_bytes(), Path::new(mount));
            assert_eq!(root.as_deref(), expected.map(Path::new), "{mount}");
        }
    }

    #[test]
    fn the_whole_hierarchy() {
        let table = [
            ("/", false, true),
            ("/kubepods", false, false),
            ("/", true, false),
            ("/../../..", true, true),
            ("/../../system.slice", true, false),
            ("/a", true, false),
        ];
        for (root, in_namespace, whole) in table {
            assert_eq!(is_whole(Path::new(root), in_namespace), whole, "{root} {in_namespace}");
        }
    }
}
