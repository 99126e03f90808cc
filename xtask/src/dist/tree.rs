//! Files with their paths and modes, all of one time and of root: what becomes a tar, a package or an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

const PROGRAM: u32 = 0o755;
const DATA: u32 = 0o644;

/// A tree of files, in the order of their paths.
#[derive(Clone)]
pub struct Tree {
    files: BTreeMap<PathBuf, Entry>,
    /// Seconds since 1970.
    time: u64,
}

#[derive(Clone)]
struct Entry {
    mode: u32,
    content: Vec<u8>,
}

impl Tree {
    pub fn new(time: u64) -> Self {
        Self { files: BTreeMap::new(), time }
    }

    /// Adds a file; paths have no leading `/`.
    pub fn file(&mut self, path: impl Into<PathBuf>, content: Vec<u8>) {
        self.files.insert(path.into(), Entry { mode: DATA, content });
    }

    /// Adds a program of the host.
    pub fn program(&mut self, path: impl Into<PathBuf>, host: &Path) -> Result<()> {
        let content = fs::read(host).with_context(|| format!("cannot read {}", host.display()))?;
        self.files.insert(path.into(), Entry { mode: PROGRAM, content });
        Ok(())
    }

    /// Adds an executable script.
    pub fn script(&mut self, path: impl Into<PathBuf>, text: &str) {
        self.files.insert(path.into(), Entry { mode: PROGRAM, content: text.as_bytes().to_vec() });
    }

    /// The paths of the files, and their sizes in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.files.iter().map(|(path, entry)| (path.as_path(), entry.content.len()))
    }

    /// Directories above the files, each after those above it.
    fn directories(&self) -> BTreeSet<&Path> {
        let above = self.files.keys().flat_map(|path| path.ancestors().skip(1));
        above.filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// As a tar archive with the directories that it needs.
    pub fn tar(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        let header = |kind: tar::EntryType, mode: u32, size: usize| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_mtime(self.time);
            header.set_size(size as u64);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        let context = |path: &Path| format!("cannot put {} into a tar archive", path.display());
        for path in self.directories() {
            let mut header = header(tar::EntryType::Directory, PROGRAM, 0);
            // A trailing slash is how tar tells a directory.
            tar.append_data(&mut header, path.join(""), &[][..]).with_context(|| context(path))?;
        }
        for (path, Entry { mode, content }) in &self.files {
            let mut header = header(tar::EntryType::Regular, *mode, content.len());
            tar.append_data(&mut header, path, &content[..]).with_context(|| context(path))?;
        }
        tar.into_inner().context("cannot end a tar archive")
    }

    /// Writes everything below `root`, which is made anew.
    pub fn write(&self, root: &Path) -> Result<()> {
        if root.exists() {
            fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        let context = |path: &Path| format!("cannot write {}", path.display());
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.time);
        fs::create_dir_all(root).with_context(|| context(root))?;
        let set = |path: &Path, mode: u32| -> std::io::Result<()> {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            File::open(path)?.set_modified(time)
        };
        for directory in self.directories() {
            let path = root.join(directory);
            fs::create_dir(&path).with_context(|| context(&path))?;
        }
        for (file, Entry { mode, content }) in &self.files {
            let path = root.join(file);
            fs::write(&path, content).and_then(|()| set(&path, *mode)).with_context(|| context(&path))?;
        }
        // Last, and the innermost first: what is written into a directory changes its time.
        let directories = self.directories();
        for directory in directories.into_iter().rev().chain([Path::new("")]) {
            let path = root.join(directory);
            set(&path, PROGRAM).with_context(|| context(&path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(1_700_000_000);
        tree.script("usr/bin/tool", "#!/bin/sh\n");
        tree.file("usr/share/doc/tool/copyright", b"ours".to_vec());
        tree
    }

    #[test]
    fn a_tar_has_directories_first_and_one_time() {
        let tar = tree().tar().expect("a tar");
        assert_eq!(tar, tree().tar().expect("a tar"), "the same bytes again");
        let mut archive = tar::Archive::new(&tar[..]);
        let entries: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                assert_eq!(header.mtime().expect("a time"), 1_700_000_000);
                (entry.path().expect("a path").display().to_string(), header.mode().expect("a mode"))
            })
            .collect();
        let expected = [
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/share/", 0o755),
            ("usr/share/doc/", 0o755),
            ("usr/share/doc/tool/", 0o755),
            ("usr/bin/tool", 0o755),
            ("usr/share/doc/tool/copyright", 0o644),
        ];
        assert_eq!(entries, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn a_tree_is_written_with_its_modes_and_time() {
        let root = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        for _ in 0..2 {
            tree().write(&root).expect("written");
        }
        let meta = |path: &str| fs::metadata(root.join(path)).expect(path);
        assert_eq!(meta("usr/bin/tool").permissions().mode() & 0o777, 0o755);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for path in ["", "usr", "usr/bin/tool", "usr/share/doc/tool"] {
            assert_eq!(meta(path).modified().expect("a time"), time, "{path}");
        }
        fs::remove_dir_all(root).expect("removed");
    }
}
