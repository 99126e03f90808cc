//! Ways to pin a memcg, and what must be said of each.

use std::{
    fs,
    hint::black_box,
    net::UdpSocket,
    ops::RangeInclusive,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use memcg_trace::scenarios::stage::{SharedSegment, perf_event_of};
use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill},
        wait::waitpid,
    },
};

use crate::support::{
    cgroup::{Cgroup, Version, hierarchy},
    forked::{Forked, ended, ended_well, fork_in},
    mapping::{filled, map},
    pins::PAGE,
};

/// What must be said.
#[derive(Debug)]
pub struct Expected {
    pub pin: &'static str,
    /// How many references of that kind.
    pub refs: RangeInclusive<u64>,
    pub what: Option<String>,
    /// A process, by itself or as the parent of one.
    pub holder: Option<u32>,
}

/// A pin, for as long as it is kept.
pub struct Pinned {
    pub expected: Expected,
    /// Processes of the test, which may be ended.
    pub pids: Vec<u32>,
    _tasks: Vec<Forked>,
    _removed: Vec<Removed>,
    _segment: Option<SharedSegment>,
}

/// A way to pin the memcg of a cgroup, with a directory on a disk to do it in.
pub struct Kind {
    pub name: &'static str,
    /// Since 7.1 it pins nothing.
    pub is_memory: bool,
    pub pin: fn(&Cgroup, &Path) -> Pinned,
}

const fn memory(name: &'static str, pin: fn(&Cgroup, &Path) -> Pinned) -> Kind {
    Kind { name, is_memory: true, pin }
}

const fn other(name: &'static str, pin: fn(&Cgroup, &Path) -> Pinned) -> Kind {
    Kind { name, is_memory: false, pin }
}

pub const KINDS: &[Kind] = &[
    memory("tmpfs", tmpfs),
    memory("hostile", hostile),
    memory("linked", linked),
    memory("page-cache", page_cache),
    memory("dirty", dirty),
    memory("deleted", deleted),
    memory("deleted-tmpfs", deleted_tmpfs),
    memory("mapped", mapped),
    memory("memfd", memfd),
    memory("sysv-shm", sysv_shm),
    memory("shared-anon", shared_anon),
    memory("anon", anon),
    memory("mlocked", mlocked),
    other("unreaped", unreaped),
    other("cgroup-namespace", cgroup_namespace),
    other("namespace-fd", namespace_fd),
    other("inotify", inotify),
    other("fanotify", fanotify),
    other("perf-event", perf_event),
    other("socket", socket),
    other("network-namespace", network_namespace),
];

const PAGES: u64 = 16;
const BYTES: usize = (PAGES * PAGE) as usize;

/// A file that goes with the test.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // What was printed may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

fn pinned(pin: &'static str, refs: RangeInclusive<u64>) -> Pinned {
    let expected = Expected { pin, refs, what: None, holder: None };
    Pinned { expected, pids: Vec::new(), _tasks: Vec::new(), _removed: Vec::new(), _segment: None }
}

impl Pinned {
    fn named(mut self, what: impl AsRef<Path>) -> Self {
        self.expected.what = Some(what.as_ref().to_string_lossy().into_owned());
        self
    }

    fn held_by(mut self, task: Forked) -> Self {
        self.expected.holder = Some(task.pid());
        self.pids.push(task.pid());
        self._tasks.push(task);
        self
    }

    fn removing(mut self, file: &Path) -> Self {
        self._removed.push(Removed(file.to_owned()));
        self
    }
}

/// A path that no other test has.
fn path_in(directory: impl AsRef<Path>, cgroup: &Cgroup, more: &str) -> PathBuf {
    let name = cgroup.path().replace('/', "-");
    directory.as_ref().join(format!("explain{name}{more}"))
}

/// Writes [`PAGES`] pages by a task of the cgroup that ends.
fn write_in(cgroup: &Cgroup, file: &Path, more: &[&str]) {
    let mut of = std::ffi::OsString::from("of=");
    of.push(file);
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", &format!("bs={PAGE}"), &format!("count={PAGES}"), "conv=notrunc"]);
    cgroup.run(dd.args(more).arg(of).stderr(Stdio::null()));
}

fn tmpfs(cgroup: &Cgroup, _: &Path) -> Pinned {
    let file = path_in("/dev/shm", cgroup, "");
    write_in(cgroup, &file, &[]);
    pinned("tmpfs", PAGES..=PAGES).named(&file).removing(&file)
}

/// A name that would be a command, and that cannot be pasted at all.
fn hostile(cgroup: &Cgroup, _: &Path) -> Pinned {
    let file = path_in("/dev/shm", cgroup, " $(touch canary)'\n;touch canary");
    write_in(cgroup, &file, &[]);
    pinned("tmpfs", PAGES..=PAGES).named(&file).removing(&file)
}

/// A file with two names, of which the kernel tells one.
fn linked(cgroup: &Cgroup, _: &Path) -> Pinned {
    let (file, link) = (path_in("/dev/shm", cgroup, ""), path_in("/dev/shm", cgroup, " link"));
    write_in(cgroup, &file, &[]);
    fs::hard_link(&file, &link).expect("a second name");
    pinned("tmpfs", PAGES..=PAGES).removing(&file).removing(&link)
}

/// In folios of whatever size the file system likes.
fn page_cache(cgroup: &Cgroup, disk: &Path) -> Pinned {
    let file = path_in(disk, cgroup, "");
    write_in(cgroup, &file, &[]);
    fs::File::open(&file).and_then(|file| file.sync_all()).expect("write it to the disk");
    pinned("file", 1..=PAGES).named(&file).removing(&file)
}

/// Written, but not to the disk. The kernel may do that before anybody looks.
fn dirty(cgroup: &Cgroup, disk: &Path) -> Pinned {
    let file = path_in(disk, cgroup, "");
    write_in(cgroup, &file, &[]);
    pinned("file", 1..=PAGES).named(&file).removing(&file)
}

/// A process that has a file open, which is removed after a task of the cgroup wrote to it.
fn opened(cgroup: &Cgroup, file: &Path) -> Forked {
    let open = fs::File::create(file).expect("a file");
    let holder = Forked::new(None, || ());
    write_in(cgroup, file, &[]);
    open.sync_all().expect("write it to the disk");
    fs::remove_file(file).expect("remove the file");
    holder
}

fn deleted(cgroup: &Cgroup, disk: &Path) -> Pinned {
    pinned("file", 1..=PAGES).held_by(opened(cgroup, &path_in(disk, cgroup, "")))
}

fn deleted_tmpfs(cgroup: &Cgroup, _: &Path) -> Pinned {
    pinned("tmpfs", PAGES..=PAGES).held_by(opened(cgroup, &path_in("/dev/shm", cgroup, "")))
}

/// Written in the cgroup, mapped by a process outside of it.
fn mapped(cgroup: &Cgroup, disk: &Path) -> Pinned {
    let file = path_in(disk, cgroup, "");
    write_in(cgroup, &file, &[]);
    let open = fs::File::open(&file).expect("the file");
    open.sync_all().expect("write it to the disk");
    let fd = open.as_raw_fd();
    let holder = Forked::new(None, move || touch(map(BYTES, libc::MAP_SHARED, libc::PROT_READ, fd)));
    drop(open);
    pinned("file", 1..=PAGES).named(&file).held_by(holder).removing(&file)
}

fn memfd(cgroup: &Cgroup, _: &Path) -> Pinned {
    let memfd = memfd_create(c"explain", MFdFlags::empty()).expect("a memfd");
    let holder = Forked::new(None, || ());
    drop(memfd);
    // The first descriptor that the kernel gave it.
    let fds = fs::read_dir(format!("/proc/{}/fd", holder.pid())).expect("its descriptors").flatten();
    let is_memfd = |fd: &fs::DirEntry| {
        fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str().as_bytes().starts_with(b"/memfd:explain"))
    };
    let fd = fds.into_iter().find(is_memfd).expect("the memfd");
    write_in(cgroup, &fd.path(), &[]);
    pinned("memfd", PAGES..=PAGES).held_by(holder).named("memfd:explain")
}

fn sysv_shm(cgroup: &Cgroup, _: &Path) -> Pinned {
    let segment = SharedSegment::new((PAGES * PAGE) as usize).expect("a segment");
    ended_well(cgroup, || segment.fill().expect("write to the segment"));
    let pinned = pinned("sysv_shm", PAGES..=PAGES).named("SYSV00000000");
    Pinned { _segment: Some(segment), ..pinned }
}

/// Reads each page.
fn touch(address: *mut u8) {
    for page in 0..PAGES {
        // SAFETY: it is that long, and readable.
        black_box(unsafe { address.add((page * PAGE) as usize).read_volatile() });
    }
}

/// A task that did something in the cgroup and was moved out; its memory stays.
fn moved(cgroup: &Cgroup, work: impl FnOnce()) -> Forked {
    Forked::new(Some(cgroup), work).move_to_root()
}

/// The same with [`PAGES`] pages of memory.
fn in_memory(cgroup: &Cgroup, flags: i32) -> Forked {
    moved(cgroup, || {
        filled(BYTES, flags, -1);
    })
}

fn shared_anon(cgroup: &Cgroup, _: &Path) -> Pinned {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    pinned("shared_anon", PAGES..=PAGES).held_by(in_memory(cgroup, flags))
}

/// Beside pages of its stack and heap.
fn anon(cgroup: &Cgroup, _: &Path) -> Pinned {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    pinned("anon", 1..=500).held_by(in_memory(cgroup, flags))
}

fn mlocked(cgroup: &Cgroup, _: &Path) -> Pinned {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let task = moved(cgroup, || {
        let address = filled(BYTES, flags, -1);
        // SAFETY: it is that long.
        assert_eq!(unsafe { libc::mlock(address.cast(), BYTES) }, 0, "mlock");
    });
    pinned("anon", PAGES..=500).held_by(task)
}

fn unreaped(cgroup: &Cgroup, _: &Path) -> Pinned {
    let parent = Forked::new(None, || {
        ended(Some(cgroup), || ());
    });
    pinned("task", 1..=1).held_by(parent)
}

pub fn cgroup_namespace(cgroup: &Cgroup, _: &Path) -> Pinned {
    let task = moved(cgroup, || unshare(CloneFlags::CLONE_NEWCGROUP).expect("a cgroup namespace"));
    pinned("cgroup_namespace", 1..=1).held_by(task)
}

/// The namespace of a task that has ended.
fn namespace_fd(cgroup: &Cgroup, _: &Path) -> Pinned {
    let holder = Forked::new(None, || {
        let (mut ready, tell) = std::io::pipe().expect("a pipe");
        let pid = fork_in(Some(cgroup), || {
            unshare(CloneFlags::CLONE_NEWCGROUP).expect("a cgroup namespace");
            std::io::Write::write_all(&mut &tell, b"r").expect("write to a pipe");
            nix::unistd::pause();
        });
        drop(tell);
        std::io::Read::read_exact(&mut ready, &mut [0]).expect("a namespace");
        let namespace = fs::File::open(format!("/proc/{pid}/ns/cgroup")).expect("its namespace");
        kill(pid, Signal::SIGKILL).and_then(|()| waitpid(pid, None)).expect("end the task");
        std::mem::forget(namespace);
    });
    pinned("cgroup_namespace", 1..=1).held_by(holder)
}

fn inotify(cgroup: &Cgroup, _: &Path) -> Pinned {
    let task = moved(cgroup, || {
        // SAFETY: the call takes no pointers.
        assert!(unsafe { libc::inotify_init1(0) } >= 0, "inotify: {}", std::io::Error::last_os_error());
    });
    pinned("inotify", 1..=1).held_by(task)
}

fn fanotify(cgroup: &Cgroup, _: &Path) -> Pinned {
    let task = moved(cgroup, || {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::fanotify_init(libc::FAN_CLASS_NOTIF, libc::O_RDONLY as u32) };
        assert!(fd >= 0, "fanotify: {}", std::io::Error::last_os_error());
    });
    pinned("fanotify", 1..=1).held_by(task)
}

/// Sockets belong to a memcg of v1 if it ever had a limit for them.
fn charge_sockets(cgroup: &Cgroup) {
    if hierarchy().0 == Version::V1 {
        cgroup.write("memory.kmem.tcp.limit_in_bytes", "1073741824");
    }
}

fn socket(cgroup: &Cgroup, _: &Path) -> Pinned {
    charge_sockets(cgroup);
    let task = moved(cgroup, || std::mem::forget(UdpSocket::bind("127.0.0.1:0").expect("a socket")));
    pinned("socket", 1..=1).held_by(task)
}

/// The kernel's own sockets in it: as many as it has protocols.
fn network_namespace(cgroup: &Cgroup, _: &Path) -> Pinned {
    charge_sockets(cgroup);
    let task = moved(cgroup, || unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace"));
    pinned("net_namespace", 1..=200).held_by(task)
}

/// Of a task that was reaped.
fn perf_event(cgroup: &Cgroup, _: &Path) -> Pinned {
    let holder = Forked::new(None, || {
        let pid = fork_in(Some(cgroup), || {
            nix::unistd::pause();
        });
        std::mem::forget(perf_event_of(pid.as_raw()).expect("a perf event"));
        kill(pid, Signal::SIGKILL).and_then(|()| waitpid(pid, None)).expect("end the task");
    });
    pinned("perf_event", 1..=1).held_by(holder)
}
