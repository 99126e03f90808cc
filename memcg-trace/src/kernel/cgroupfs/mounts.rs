//! Mount points of cgroup hierarchies, and their directories.

use std::{
    fs, iter,
    path::{Component, Path, PathBuf},
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
        found.then(|| PathBuf::from(unescaped(mount.split(' ').nth(4).unwrap_or_default())))
    })
}

/// What a mount shows, as a path in its file system: of cgroups, one that is relative to the root of our cgroup namespace.
pub(super) fn root_of(mounts: &str, mount: &Path) -> Option<PathBuf> {
    // Of mounts over one another, the last is seen.
    mounts.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        (Path::new(&unescaped(at)) == mount).then(|| PathBuf::from(unescaped(root)))
    })
}

/// Whether a mount of cgroups that shows `root` shows the whole hierarchy; `in_namespace`: the root of our cgroup namespace
/// is below the hierarchy's root, which is then only reached by `..`.
pub(super) fn is_whole(root: &Path, in_namespace: bool) -> bool {
    let names = root.components().filter(|component| *component != Component::RootDir);
    let above = names.clone().take_while(|component| *component == Component::ParentDir).count();
    names.count() == above && (above > 0 || !in_namespace)
}

fn unescaped(path: &str) -> String {
    path.replace("\\040", " ")
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
            let root = root_of(mounts, Path::new(mount));
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
