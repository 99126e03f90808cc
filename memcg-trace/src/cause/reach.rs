//! How a command reaches a file of which the kernel told inode and names.

use super::{
    facts::{File, Mount},
    shell::Word,
};

/// Ways to name a file in a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Path(Word),
    /// Below this directory, by inode number: a name of it is not known, or cannot be pasted.
    Find {
        directory: Word,
        inode: u64,
    },
    /// Its file system is mounted nowhere that was seen, or by a name that cannot be pasted.
    Nowhere,
}

impl Reach {
    /// How to reach `file`, unless it is deleted.
    pub fn of(file: &File) -> Self {
        let Some(mount) = &file.mount else { return Self::Nowhere };
        let inode = file.inode;
        let Some(path) = &file.path else {
            return root_of(mount).map_or(Self::Nowhere, |directory| Self::Find { directory, inode });
        };
        let Some(path) = seen_as(mount, path) else { return Self::Nowhere };
        if let Some(word) = Word::path(&path) {
            return Self::Path(word);
        }
        // The closest directory that can be pasted, not above the mount point: find would not get below it (-xdev).
        let mounted = seen_as(mount, &mount.root).map_or(0, |point| point.len());
        let slashes = (mounted.max(1)..path.len()).rev().filter(|&at| path[at] == b'/');
        let directory = slashes.chain([mounted]).find_map(|at| Word::path(&path[..at]));
        directory.map_or(Self::Nowhere, |directory| Self::Find { directory, inode })
    }
}

/// What a mount shows at its top.
pub(super) fn root_of(mount: &Mount) -> Option<Word> {
    Word::path(&seen_as(mount, &mount.root)?)
}

/// The path of a file as this process can open it; `None`: nowhere that was seen.
pub fn path_of(file: &File) -> Option<Vec<u8>> {
    seen_as(file.mount.as_ref()?, file.path.as_ref()?)
}

/// A path of a file system as seen through a mount of it; `None`: the mount does not show that part.
fn seen_as(mount: &Mount, path: &[u8]) -> Option<Vec<u8>> {
    let below = match &*mount.root {
        b"/" => path,
        root => path.strip_prefix(root).filter(|below| below.is_empty() || below.starts_with(b"/"))?,
    };
    let namespace = mount.pid.map(|pid| format!("/proc/{pid}/root")).unwrap_or_default().into_bytes();
    let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
    let mut seen = [&namespace, point, below.strip_suffix(b"/").unwrap_or(below)].concat();
    // With its slash, /proc/PID/root is the directory and not the link to it.
    if seen.len() == namespace.len() {
        seen.push(b'/');
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::facts::FileKind;

    fn file(mount: Option<(&str, Option<u32>, &str)>, path: Option<&[u8]>) -> File {
        let bytes = |text: &str| Box::from(text.as_bytes());
        File {
            kind: FileKind::Tmpfs,
            device: (0, 30),
            inode: 7,
            filesystem: bytes("tmpfs"),
            mount: mount.map(|(point, pid, root)| Mount { point: bytes(point), pid, root: bytes(root) }),
            path: path.map(Box::from),
            links: Some(1),
            bytes: None,
            cached_pages: None,
            ipc: None,
        }
    }

    fn reach(mount: Option<(&str, Option<u32>, &str)>, path: Option<&[u8]>) -> String {
        match Reach::of(&file(mount, path)) {
            Reach::Path(path) => path.to_string(),
            Reach::Find { directory, inode } => format!("find {directory} {inode}"),
            Reach::Nowhere => "nowhere".into(),
        }
    }

    #[test]
    fn files_are_reached_by_path_or_by_inode() {
        let shm = Some(("/dev/shm", None, "/"));
        assert_eq!(reach(shm, Some(b"/a/b")), "/dev/shm/a/b");
        assert_eq!(reach(shm, Some(b"/a b")), "'/dev/shm/a b'");
        assert_eq!(reach(shm, None), "find /dev/shm 7");
        assert_eq!(reach(None, Some(b"/a")), "nowhere");
        assert_eq!(reach(Some(("/", None, "/")), Some(b"/etc/passwd")), "/etc/passwd");
        assert_eq!(reach(Some(("/", None, "/")), None), "find / 7");
    }

    #[test]
    fn other_mount_namespaces_are_reached_through_a_process() {
        let other = Some(("/data", Some(42), "/"));
        assert_eq!(reach(other, Some(b"/a")), "/proc/42/root/data/a");
        assert_eq!(reach(Some(("/", Some(42), "/")), None), "find /proc/42/root/ 7");
    }

    #[test]
    fn a_part_of_a_file_system_shows_only_that() {
        let volume = Some(("/mnt", None, "/volumes/a"));
        assert_eq!(reach(volume, Some(b"/volumes/a/x")), "/mnt/x");
        assert_eq!(reach(volume, Some(b"/volumes/ab/x")), "nowhere");
        assert_eq!(reach(volume, Some(b"/x")), "nowhere");
        assert_eq!(reach(volume, None), "find /mnt 7");
    }

    #[test]
    fn names_that_cannot_be_pasted_are_found_by_inode() {
        let shm = Some(("/dev/shm", None, "/"));
        assert_eq!(reach(shm, Some(b"/a/b\nc")), "find /dev/shm/a 7");
        assert_eq!(reach(shm, Some(b"/a\nb/c")), "find /dev/shm 7");
        assert_eq!(reach(shm, Some(b"/\xff")), "find /dev/shm 7");
        assert_eq!(reach(Some(("/", None, "/")), Some(b"/\x1b")), "find / 7");
        assert_eq!(reach(Some(("/a\nb", None, "/")), Some(b"/c")), "nowhere");
        assert_eq!(reach(Some(("/a\nb", None, "/")), None), "nowhere");
    }
}
