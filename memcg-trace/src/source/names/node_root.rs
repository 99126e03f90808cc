//! The node's file system, wherever it is mounted. What is read here was written by others: of any size, of any type,
//! and some of it by tenants, who put links where files are expected.
//!
//! Nothing is opened for reading before it is known to be a regular file of the right owner: opening alone arms a
//! watchdog, rewinds a tape, or waits for the other end of a FIFO.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
};

/// Longest file that is read: of the node, and of one of its users.
const FILE_MAX: u64 = 4 << 20;
const USER_FILE_MAX: u64 = 1 << 20;
/// Longest directory.
const ENTRIES_MAX: usize = 100_000;
/// What one question may read from files, and for how long it goes on to the next file.
const QUESTION_BYTES: u64 = 16 << 20;
const USER_QUESTION_BYTES: u64 = 2 << 20;
const QUESTION_TIME: Duration = Duration::from_millis(200);

/// A directory and all below it: the root of the node, or what one of its users owns.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Whose files are read, besides those of root.
    owner: u32,
    /// A user's: then neither root's files nor any link are of use to anybody but an attacker.
    user: bool,
    budget: Budget,
}

/// What is left for a question.
#[derive(Debug)]
struct Budget {
    bytes: Cell<u64>,
    until: Cell<Instant>,
}

/// Identifies the version of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Root {
    /// The node whose root directory is `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = File::from(nix::fcntl::open(path, flags, Mode::empty())?);
        let owner = directory.metadata()?.uid();
        Ok(Self { directory: directory.into(), owner, user: false, budget: Budget::of(QUESTION_BYTES) })
    }

    /// A directory of the node that must belong to a user, for one question.
    pub fn of_user(&self, directory: &Path, uid: u32) -> io::Result<Self> {
        let directory = File::from(self.resolve(directory, OFlag::O_PATH | OFlag::O_DIRECTORY)?);
        if directory.metadata()?.uid() != uid {
            return Err(io::Error::other("not a directory of that user"));
        }
        let budget =
            Budget { bytes: Cell::new(USER_QUESTION_BYTES), until: Cell::new(self.budget.until.get()) };
        Ok(Self { directory: directory.into(), owner: uid, user: true, budget })
    }

    /// A question begins: what earlier ones read does not count.
    pub fn begin(&self) {
        let Budget { bytes, until } = Budget::of(QUESTION_BYTES);
        self.budget.bytes.swap(&bytes);
        self.budget.until.swap(&until);
    }

    /// The question took too long: some files were left out.
    pub fn ran_out_of_time(&self) -> bool {
        Instant::now() > self.budget.until.get()
    }

    /// The content of a regular file. What the question may read in all bounds it, too.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let handle = self.handle(path)?;
        let metadata = File::from(handle.try_clone()?).metadata()?;
        let of_root = metadata.uid() == 0 && !self.user;
        if !metadata.is_file() || metadata.uid() != self.owner && !of_root {
            return Err(io::Error::other("not a regular file of its owner"));
        }
        let most = self.budget.left()?.min(if self.user { USER_FILE_MAX } else { FILE_MAX });
        if metadata.len() > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(nix::fcntl::open(&by_handle(&handle), flags, Mode::empty())?);
        let mut content = Vec::new();
        // It may have grown, and files of /proc say that they are empty.
        file.take(most + 1).read_to_end(&mut content)?;
        self.budget.spend(content.len() as u64);
        if content.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
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
        let metadata = File::from(self.handle(path)?).metadata()?;
        Ok(Stamp { modified: metadata.modified()?, length: metadata.len(), inode: metadata.ino() })
    }

    /// A socket that can be connected to by [`by_handle`].
    pub fn socket(&self, path: &Path) -> io::Result<OwnedFd> {
        let handle = self.handle(path)?;
        let metadata = File::from(handle.try_clone()?).metadata()?;
        if !metadata.file_type().is_socket() || ![0, self.owner].contains(&metadata.uid()) {
            return Err(io::Error::other("not a socket of its owner"));
        }
        Ok(handle)
    }

    /// Opens nothing: a device or FIFO does not notice.
    fn handle(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlag::O_PATH)
    }

    /// Links that the node's administrator made are followed as on the node: an absolute one begins at this root, and none
    /// leads out of it. Below a user's directory there are none, and no mounts: a file system that a user may mount
    /// (FUSE) answers when the user likes.
    fn resolve(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlag::O_CLOEXEC;
        let how = if self.user {
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV
        } else {
            ResolveFlag::RESOLVE_IN_ROOT
        };
        let how = OpenHow::new().flags(flags).resolve(how | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&self.directory, path, how) {
            // Linux 5.6, fddb5d430ad9; EPERM is how older sandboxes answer.
            Err(Errno::ENOSYS | Errno::EPERM) => self.resolve_without_links(path, flags),
            found => Ok(found?),
        }
    }

    /// Without openat2 a link that is followed may lead anywhere: none is.
    fn resolve_without_links(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let mut at = self.directory.try_clone()?;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let (Component::Normal(_) | Component::CurDir) = component else {
                return Err(Errno::EXDEV.into());
            };
            let flags = if components.peek().is_some() { OFlag::O_PATH | OFlag::O_DIRECTORY } else { flags };
            // With O_PATH, a link at the end is opened itself. It is no file, no directory and no socket.
            at = openat(
                &at,
                component.as_os_str(),
                flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
                Mode::empty(),
            )?;
        }
        Ok(at)
    }
}

impl Budget {
    fn of(bytes: u64) -> Self {
        Self { bytes: Cell::new(bytes), until: Cell::new(Instant::now() + QUESTION_TIME) }
    }

    /// Bytes.
    fn left(&self) -> io::Result<u64> {
        if Instant::now() > self.until.get() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(self.bytes.get())
    }

    fn spend(&self, bytes: u64) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }
}

/// A path of a handle's file for this process.
pub fn by_handle(handle: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", handle.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
        process,
    };

    use nix::unistd::{Uid, mkfifo};

    use super::*;

    /// A directory of this test; it goes with it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("memcg-trace-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir_all(directory.join("etc")).expect("a directory");
            fs::write(directory.join("etc/passwd"), "ours").expect("a file");
            symlink("/etc/passwd", directory.join("absolute")).expect("a link");
            symlink("../../../../etc/passwd", directory.join("relative")).expect("a link");
            symlink("etc", directory.join("directory")).expect("a link");
            symlink("/proc/self/root/etc/passwd", directory.join("magic")).expect("a link");
            mkfifo(&directory.join("fifo"), Mode::S_IRWXU).expect("a FIFO");
            Self(directory)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_leads_out() {
        let directory = Directory::new("root");
        let root = Root::open(&directory.0).expect("the root");
        let read = |path: &str| root.read(Path::new(path));
        for path in ["/etc/passwd", "/absolute", "/relative", "/directory/passwd"] {
            assert_eq!(read(path).expect(path), b"ours");
        }
        for path in ["/fifo", "/etc", "/none", "/magic"] {
            assert!(read(path).is_err(), "{path}");
        }
    }

    #[test]
    fn no_link_of_a_user_is_followed() {
        let directory = Directory::new("user");
        let root = Root::open(&directory.0).expect("the root");
        let user = root.of_user(Path::new("/"), Uid::effective().as_raw()).expect("the user's");
        assert_eq!(user.read(Path::new("etc/passwd")).expect("a file"), b"ours");
        for path in ["absolute", "relative", "directory/passwd", "magic", "../etc/passwd", "fifo"] {
            assert!(user.read(Path::new(path)).is_err(), "{path}");
        }
        assert!(root.of_user(Path::new("/"), Uid::effective().as_raw() + 1).is_err());
    }

    #[test]
    fn without_openat2_no_link_is_followed() {
        let directory = Directory::new("fallback");
        let root = Root::open(&directory.0).expect("the root");
        let resolve = |path: &str, flags| root.resolve_without_links(Path::new(path), flags);
        let kind = |path: &str| {
            let handle = resolve(path, OFlag::O_PATH).expect(path);
            File::from(handle).metadata().expect("its metadata").file_type()
        };
        assert!(kind("etc/passwd").is_file());
        assert!(kind("absolute").is_symlink() && kind("directory").is_symlink());
        for path in ["directory/passwd", "../etc/passwd", "magic/x"] {
            assert!(resolve(path, OFlag::O_PATH).is_err(), "{path}");
        }
        assert!(resolve("directory", OFlag::O_RDONLY | OFlag::O_DIRECTORY).is_err());
    }

    #[test]
    fn sizes_are_bounded_for_each_file_and_for_all_of_a_question() {
        let directory = Directory::new("budget");
        let file = File::create(directory.0.join("large")).expect("a file");
        let root = Root::open(&directory.0).expect("the root");
        let read = || root.read(Path::new("large"));
        file.set_len(FILE_MAX + 1).expect("a sparse file");
        assert_eq!(read().map_err(|error| error.kind()), Err(io::ErrorKind::FileTooLarge));
        file.set_len(FILE_MAX).expect("a sparse file");
        let files = (0..100).take_while(|_| read().is_ok()).count() as u64;
        assert_eq!(files, QUESTION_BYTES / FILE_MAX);
        root.begin();
        assert!(read().is_ok());
    }

    #[test]
    fn a_socket_is_a_socket() {
        let directory = Directory::new("socket");
        let _listener = UnixListener::bind(directory.0.join("listener")).expect("a socket");
        let root = Root::open(&directory.0).expect("the root");
        assert!(root.socket(Path::new("/listener")).is_ok());
        assert!(["/fifo", "/etc/passwd", "/none"].iter().all(|path| root.socket(Path::new(path)).is_err()));
    }
}
