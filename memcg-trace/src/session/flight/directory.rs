//! The directory of a rotation. What is in it is reached through it alone, by name, and never by a link.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
        },
    },
    path::Path,
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};

use crate::record::rotation::is_segment_name;

/// One that nobody else writes to.
pub struct RotationDirectory(File);

impl RotationDirectory {
    /// Opens it, or makes it, readable by its owner only, and locks it.
    pub fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let user = geteuid().as_raw();
        let named = fs::symlink_metadata(path)?;
        if named.is_symlink() && ![0, user].contains(&named.uid()) {
            return refused(format!("it is a link of user {}; pass the directory itself", named.uid()));
        }
        let directory = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        let found = directory.metadata()?;
        if found.uid() != user {
            return refused(format!("it belongs to user {}, and user {user} records; chown it", found.uid()));
        }
        if found.mode() & 0o022 != 0 {
            return refused("others can write to it; chmod go-w it".to_owned());
        }
        match directory.try_lock() {
            Ok(()) => Ok(Self(directory)),
            Err(TryLockError::WouldBlock) => {
                refused("another memcg-trace records to it; pass another directory".to_owned())
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The recordings in it and their sizes, oldest first.
    pub fn list(&self) -> io::Result<Vec<(OsString, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(format!("/proc/self/fd/{}", self.0.as_raw_fd()))? {
            let entry = entry?;
            let name = entry.file_name();
            if is_segment_name(name.as_bytes()) {
                let found = entry.metadata()?;
                files.extend(found.is_file().then_some((name, found.len())));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Makes a file that is not there yet; paths and task names are private.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Opens a recording.
    pub fn read(&self, name: &OsString) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(openat(&self.0, name.as_os_str(), flags, Mode::empty())?.into())
    }

    pub fn remove(&self, name: &OsString) -> io::Result<()> {
        Ok(unlinkat(&self.0, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?)
    }
}

impl AsFd for RotationDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn refused<T>(reason: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink, path::PathBuf};

    use super::*;

    const NAMES: [&str; 2] =
        ["memcg-trace-20260114T020000.000Z.recording", "memcg-trace-20260114T030000.000Z.recording"];

    /// A path that nobody uses, removed with all that is in it.
    struct TestPlace(PathBuf);

    impl TestPlace {
        fn new(test: &str) -> Self {
            Self(std::env::temp_dir().join(format!("memcg-trace-directory-{test}-{}", std::process::id())))
        }
    }

    impl Drop for TestPlace {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_its_own_files_are_listed_and_removed() {
        let place = TestPlace::new("files");
        let directory = RotationDirectory::open(&place.0).expect("a directory");
        for name in NAMES.iter().rev() {
            directory.create(name).expect("a file").write_all(name.as_bytes()).expect("room");
        }
        let elsewhere = place.0.join("elsewhere");
        fs::write(&elsewhere, "kept").expect("a file");
        symlink(&elsewhere, place.0.join("memcg-trace-20260114T040000.000Z.recording")).expect("a link");
        fs::create_dir(place.0.join("memcg-trace-20260114T050000.000Z.recording")).expect("a directory");
        let files = directory.list().expect("a list");
        assert_eq!(files, NAMES.map(|name| (OsString::from(name), name.len() as u64)));
        directory.remove(&files[0].0).expect("it is there");
        assert_eq!(directory.list().expect("a list"), files[1..]);
        assert_eq!(fs::read_to_string(elsewhere).expect("it is still there"), "kept");
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let place = TestPlace::new("new");
        let directory = RotationDirectory::open(&place.0).expect("a directory");
        let elsewhere = place.0.join("elsewhere");
        symlink(&elsewhere, place.0.join(NAMES[0])).expect("a link");
        let refused = directory.create(NAMES[0]).expect_err("a link is there");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(!elsewhere.exists());
        let file = directory.create(NAMES[1]).expect("a file");
        assert_eq!(file.metadata().expect("an open file").mode() & 0o777, 0o600);
    }

    #[test]
    fn one_records_to_it() {
        let place = TestPlace::new("lock");
        let first = RotationDirectory::open(&place.0).expect("a directory");
        let refused = |path: &Path| {
            RotationDirectory::open(path).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused(&place.0).contains("another memcg-trace"));
        drop(first);
        fs::set_permissions(&place.0, std::os::unix::fs::PermissionsExt::from_mode(0o720))
            .expect("its owner's");
        assert!(refused(&place.0).contains("others can write"));
    }
}
