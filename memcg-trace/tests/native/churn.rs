//! `explain` while all that it reads comes and goes: it ends, and it claims no more than it saw.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use memcg_trace::{
    cause::{self, Explanation, Look, Pin, Referenced},
    event::Key,
    kernel::{
        Kernel,
        pins::{LookOptions, Pins, ScanMemory},
        walk::Walk,
    },
    source::take_walk,
    tracker::Tracker,
};
use nix::sys::wait::waitpid;

use crate::support::{
    cgroup::{Cgroup, Task},
    evict_stocks,
    forked::{Forked, fork_in},
    machine,
    pins::{PAGE, namespace},
};

const LOOKS: usize = 200;
/// Looks from one new zombie to the next.
const LOOKS_EACH: usize = 10;
/// Looks from one that may go through all pages of the machine to the next: that takes long in a build without optimizations.
const LOOKS_EACH_SCAN: usize = 50;
/// Pages of a file.
const PAGES: u64 = 64;
/// Between the truncations of all files.
const PAUSE: Duration = Duration::from_millis(5);

/// A directory on a tmpfs that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let directory = PathBuf::from(format!("/dev/shm/memcg-trace-test-churn-{}", process::id()));
        fs::create_dir(&directory).expect("a directory on the tmpfs");
        Self(directory)
    }

    /// Writes a file by a task of a cgroup that is gone afterwards.
    fn left_by(&self, cgroup: &Cgroup) {
        let file = self.0.join(cgroup.path().replace('/', "-"));
        let pid = fork_in(Some(cgroup), || {
            fs::write(&file, vec![1; (PAGES * PAGE) as usize]).expect("write the file");
        });
        waitpid(pid, None).expect("wait for a child");
        cgroup.remove();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Folios move between lists.
fn read_files(directory: &Path) {
    for file in fs::read_dir(directory).expect("the files").flatten() {
        let mut contents = Vec::new();
        let _ = File::open(file.path()).and_then(|mut file| file.read_to_end(&mut contents));
    }
}

/// Folios go, one after the other, and with the last one a memcg.
fn truncate_files(directory: &Path) {
    for file in fs::read_dir(directory).expect("the files").flatten() {
        let open = File::options().write(true).open(file.path());
        let _ = open.and_then(|file| file.set_len(file.metadata()?.len().saturating_sub(PAGE)));
    }
    thread::sleep(PAUSE);
}

/// Tasks, mms and their areas come and go.
fn fork_tasks() {
    let _ = waitpid(fork_in(None, || ()), None);
}

/// Descriptors, sockets with a file and without, and what waits to be received.
fn open_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let connections: Vec<TcpStream> = (0..8).filter_map(|_| TcpStream::connect(address).ok()).collect();
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let _ = ours.write_all(b"x");
    drop((connections, listener, theirs));
}

/// css_sets, and children of memcgs.
fn make_cgroups(directory: &Path) {
    let made = directory.join("comes-and-goes");
    let _ = fs::create_dir(&made);
    let enter = |procs: PathBuf| fs::write(procs, "0");
    let _ = enter(made.join("cgroup.procs")).and_then(|()| enter(directory.join("../../cgroup.procs")));
    let _ = fs::remove_dir(&made);
}

/// The dying memcgs below a cgroup, and among them that of a cgroup that is gone.
fn dying(walk: &mut Walk, home: &str, path: &str) -> (Vec<Key>, Option<Key>) {
    let tracker = Tracker::of_walk(&take_walk(walk).expect("a walk"));
    let of_path = tracker.dying().find(|memcg| memcg.path.as_deref() == Some(path.as_bytes()));
    let of_path = of_path.map(|memcg| memcg.key);
    let ours = tracker.dying().filter(|memcg| {
        // What others left on this machine may hold any number of pages.
        memcg.path.as_deref().is_none_or(|path| path.starts_with(home.as_bytes()))
    });
    let mut keys: Vec<Key> = ours.map(|memcg| memcg.key).collect();
    keys.sort_unstable_by_key(|key| key.serial);
    (keys, of_path)
}

/// No part of it is more than was found, and the sum is one that was counted.
fn check(referenced: &Referenced, explanation: &Explanation) {
    let found: u64 = referenced.references.iter().map(|reference| reference.refs).sum();
    let sum: u64 = explanation.parts.iter().map(|part| part.refs).sum();
    assert_eq!(sum, explanation.refs, "{explanation:?}");
    assert!(explanation.explained <= found, "{found} were found: {explanation:?}");
    // One that was freed meanwhile has no count.
    if let Some(counted) = referenced.before.max(referenced.after) {
        assert!(explanation.refs <= counted, "{counted} were counted: {explanation:?}");
    }
}

fn unexplained(look: &Look, explanation: &Explanation) -> String {
    format!("{explanation:#?}, {:?}", look.unread)
}

#[test]
fn under_churn_explain_ends_and_claims_no_more_than_it_saw() {
    let _machine = machine();
    let home = Cgroup::home("churn");
    let directory = Directory::new();
    let quiet = home.child("quiet");
    let _namespace: Task = namespace(&quiet);
    quiet.remove();
    evict_stocks();

    let kernel = Kernel::probe(None).expect("what every command needs");
    let mut walk = kernel.load_walk().expect("a walk");
    let mut pins = Pins::open(&kernel, None).expect("a way to read kernel memory");
    let cgroups = home.child("cgroups");
    cgroups.enable_memory();
    let files = &*directory.0;
    let _churn = [
        Forked::again(|| read_files(files)),
        Forked::again(|| truncate_files(files)),
        Forked::again(fork_tasks),
        Forked::again(open_sockets),
        Forked::again(|| make_cgroups(cgroups.directory())),
    ];
    let mut moved = 0;
    for number in 0..LOOKS {
        if number % LOOKS_EACH == 0 {
            directory.left_by(&home.child(format!("zombie-{number}")));
        }
        let (keys, of_quiet) = dying(&mut walk, home.path(), quiet.path());
        let of_quiet = of_quiet.expect("the memcg that is pinned all the time");
        let scan_memory = if number % LOOKS_EACH_SCAN == 0 { ScanMemory::Auto } else { ScanMemory::Never };
        let options = LookOptions { scan_memory, ..LookOptions::default() };
        let look = pins.look(&keys, &options).expect("a look");
        let explanations = cause::explain(&look);
        assert_eq!(explanations.len(), keys.len());
        for (referenced, explanation) in look.memcgs.iter().zip(&explanations) {
            check(referenced, explanation);
            moved += usize::from(explanation.moved);
        }
        // What nobody touches is told in full, whatever happens beside it.
        let explanation = explanations.iter().find(|explanation| explanation.key == of_quiet);
        let explanation = explanation.expect("its explanation");
        let namespaces = explanation.parts.iter().filter(|part| part.pin == Pin::CgroupNamespace);
        assert_eq!(namespaces.map(|part| part.refs).sum::<u64>(), 1, "{}", unexplained(&look, explanation));
        assert!(explanation.is_complete(), "{}", unexplained(&look, explanation));
    }
    eprintln!("{moved} explanations of {LOOKS} looks were of memcgs that changed meanwhile");
}
