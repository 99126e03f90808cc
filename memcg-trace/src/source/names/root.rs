//! The node's file system, wherever it is mounted. Its contents are untrusted: files may be of any size and type.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::SystemTime,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
};

/// Maximum size of files, and of directories.
const FILE_MAX: u64 = 16 << 20;
const ENTRIES_MAX: usize = 100_000;

/// The root directory of the node: `/`, or its mount point in a container.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

/// Identifies the version of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { directory: nix::fcntl::open(path, flags, Mode::empty())? })
    }

    /// The content of a regular file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // It might be a FIFO, and opening one would block.
        let file = File::from(self.resolve(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut content = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FILE_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
    }

    /// The names in a directory; ignores those that are not UTF-8.
    pub fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let directory = self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let entries = std::fs::read_dir(by_handle(&directory))?;
        Ok(entries
            .flatten()
            .take(ENTRIES_MAX)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    }

    /// The current version, to compare later.
    pub fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = File::from(self.handle(path)?).metadata()?;
        Ok(Stamp { modified: metadata.modified()?, length: metadata.len(), inode: metadata.ino() })
    }

    /// A handle that can be connected to through [`by_handle`], but not read.
    pub fn handle(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlag::O_PATH)
    }

    /// Symbolic links are resolved as on the node: absolute ones start at this root, and none leads out of it.
    fn resolve(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let found = match openat2(&self.directory, path, how) {
            // Linux 5.6, fddb5d430ad9; older sandboxes return EPERM.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                openat(&self.directory, path.strip_prefix("/").unwrap_or(path), flags, Mode::empty())
            }
            found => found,
        };
        Ok(found?)
    }
}

/// A path of a handle's file for this process.
pub fn by_handle(handle: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", handle.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, process};

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let directory = std::env::temp_dir().join(format!("memcg-trace-root-{}", process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("etc")).expect("a directory");
        fs::write(directory.join("etc/passwd"), "ours").expect("a file");
        symlink("/etc/passwd", directory.join("absolute")).expect("a link");
        symlink("../../../../etc/passwd", directory.join("relative")).expect("a link");
        nix::unistd::mkfifo(&directory.join("fifo"), Mode::S_IRWXU).expect("a FIFO");
        let root = Root::open(&directory).expect("the root");
        let read = |path: &str| root.read(Path::new(path));
        let contents = ["/etc/passwd", "/absolute", "/relative"].map(|path| read(path).expect("a file"));
        let refused = read("/fifo").is_err() && read("/etc").is_err() && read("/none").is_err();
        fs::remove_dir_all(&directory).expect("remove the directory");
        assert_eq!(contents, [b"ours"; 3]);
        assert!(refused);
    }
}
