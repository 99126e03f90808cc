//! Drops the page cache of one file that a tenant may have put anything in the place of.
//!
//! The path is opened component by component and no link is followed; what is reached is compared with the device and
//! inode that the kernel told, and only a regular file is opened for reading. POSIX_FADV_DONTNEED skips what is dirty,
//! in writeback or mapped (`invalidate_mapping_pages`, mm/truncate.c).

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, PosixFadviseAdvice, openat, posix_fadvise},
    sys::stat::{Mode, SFlag, fstat},
};
use thiserror::Error;

use crate::{cause, kernel::mountinfo};

/// Why the page cache of a file was not dropped.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("its file system is mounted nowhere that could be seen")]
    NotMounted,
    #[error("cannot open it: {0}")]
    Open(Errno),
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error("another file is at its path")]
    Another,
    #[error("cannot drop it: {0}")]
    Advice(Errno),
}

/// Drops what is clean and unmapped.
pub fn drop_cache(file: &cause::File) -> Result<(), Refused> {
    let mount = file.mount.as_ref().ok_or(Refused::NotMounted)?;
    let path = cause::path_of(file).ok_or(Refused::NotMounted)?;
    // The one link that is meant: the root directory of that process.
    let (root, below) = match mount.pid.map(|pid| format!("/proc/{pid}/root")) {
        Some(root) => {
            let below = path.strip_prefix(root.as_bytes()).unwrap_or(&path).to_vec();
            (format!("{root}/"), below)
        }
        None => ("/".to_owned(), path),
    };
    let found = open_beneath(Path::new(&root), &below).map_err(Refused::Open)?;
    let stat = fstat(&found).map_err(Refused::Open)?;
    let device = mountinfo::device_of(found.as_fd(), mount.pid)?;
    let regular = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
    if !regular || device != file.device || stat.st_ino != file.inode {
        return Err(Refused::Another);
    }
    // A descriptor of O_PATH is no way to the contents; this reopens the very inode.
    let by_descriptor = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOATIME).bits();
    let opened: File = OpenOptions::new().read(true).custom_flags(flags).open(&by_descriptor)?;
    posix_fadvise(&opened, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(Refused::Advice)
}

/// Opens a path below a directory, links in it being errors.
fn open_beneath(root: &Path, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at =
        openat(AT_FDCWD, root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    for (place, name) in names.iter().enumerate() {
        if matches!(*name, b"." | b"..") {
            return Err(Errno::ELOOP);
        }
        // A link in the middle is no directory; at the end it is no regular file.
        let directory = if place + 1 < names.len() { OFlag::O_DIRECTORY } else { OFlag::empty() };
        at = openat(&at, OsStr::from_bytes(name), flags | directory, Mode::empty())?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
        path::PathBuf,
    };

    use super::*;
    use crate::cause::{FileKind, Mount};

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("memcg-trace-reap-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            // A temporary directory that is a link itself is no place for this.
            Self(path.canonicalize().expect("its real path"))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// As the kernel would tell of the file that is at `of`, under the name `path`.
    fn told(of: &Path, path: &Path) -> cause::File {
        let metadata = fs::metadata(of).expect("the file");
        let bytes = |text: &[u8]| Box::from(text);
        cause::File {
            kind: FileKind::Regular,
            device: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
            inode: metadata.ino(),
            filesystem: bytes(b"ext4"),
            mount: Some(Mount { point: bytes(b"/"), pid: None, root: bytes(b"/") }),
            path: Some(bytes(path.as_os_str().as_bytes())),
            links: Some(1),
            bytes: None,
            cached_pages: None,
            ipc: None,
        }
    }

    #[test]
    fn only_the_file_itself_is_opened() {
        let directory = Directory::new("own");
        let at = |name: &str| directory.0.join(name);
        fs::write(at("file"), "x").expect("a file");
        fs::write(at("other"), "y").expect("a file");
        fs::create_dir(at("real")).expect("a directory");
        fs::write(at("real/file"), "z").expect("a file");
        symlink("file", at("link")).expect("a link");
        symlink("real", at("way")).expect("a link");
        drop_cache(&told(&at("file"), &at("file"))).expect("the file itself");
        // Through any link, at the end or on the way.
        assert!(matches!(drop_cache(&told(&at("file"), &at("link"))), Err(Refused::Another)));
        let way = drop_cache(&told(&at("real/file"), &at("way/file")));
        assert!(matches!(way, Err(Refused::Open(Errno::ENOTDIR | Errno::ELOOP))), "{way:?}");
        let dots = drop_cache(&told(&at("file"), &at("real/../file")));
        assert!(matches!(dots, Err(Refused::Open(Errno::ELOOP))), "{dots:?}");
        // Something else has its name by now.
        assert!(matches!(drop_cache(&told(&at("file"), &at("other"))), Err(Refused::Another)));
        assert!(matches!(drop_cache(&told(&at("real"), &at("real"))), Err(Refused::Another)));
        assert!(matches!(drop_cache(&told(&at("file"), &at("gone"))), Err(Refused::Open(Errno::ENOENT))));
        let unmounted = cause::File { mount: None, ..told(&at("file"), &at("file")) };
        assert!(matches!(drop_cache(&unmounted), Err(Refused::NotMounted)));
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let directory = Directory::new("fifo");
        let fifo = directory.0.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRUSR).expect("a fifo");
        assert!(matches!(drop_cache(&told(&fifo, &fifo)), Err(Refused::Another)));
    }

    #[test]
    fn another_mount_namespace_is_entered_by_a_process() {
        let directory = Directory::new("root");
        let file = directory.0.join("file");
        fs::write(&file, "x").expect("a file");
        let told = told(&file, &file);
        let pid = Some(std::process::id());
        let mount = Some(Mount { point: Box::from(*b"/"), pid, root: Box::from(*b"/") });
        drop_cache(&cause::File { mount, ..told }).expect("through /proc/PID/root");
    }
}
