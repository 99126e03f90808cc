//! What is done to the node, and to those that watch it.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{chown, symlink},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::sys::wait::waitpid;

use crate::support::{cgroup::Cgroup, explain::Explain, forked::fork_in};

/// At least so long takes a round: the memcg IDs are used up twice in two hours, and a core is left to the machine.
const ROUND: Duration = Duration::from_secs(1);
/// Cgroups that come and go in a round, and how often a task runs in one.
const CHURN: u64 = 20;
const TASK_EACH: u64 = 5;
/// Containers of the tenant at a time.
const CONTAINERS: usize = 10;
/// Leaks at a time: the oldest goes when another comes.
const LEAKS: usize = 200;
const LEAK_BYTES: usize = 16 << 10;
/// Rounds from one to the next.
const EXPLAIN_EACH: u64 = 50;
const HOTPLUG_EACH: u64 = 40;
/// Rounds for which it is offline.
const OFFLINE: u64 = 3;
/// Clients that begin a request and never end it.
const STALLED: usize = 100;
const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";
const SHM: &str = "/dev/shm/soak";

/// A user of the node whose files are as long as they may be, many times.
const UID: u32 = 64_321;
const STORAGE: &str = "/home/tenant/.local/share/containers/storage";
const DRIVERS: [&str; 5] = ["overlay", "vfs", "btrfs", "zfs", "aufs"];
const LINK: &str = "devicemapper";
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];
const LIST_BYTES: usize = 900 << 10;

/// Names that anybody may give a cgroup: all but `/` and a newline.
const NAMES: [&[u8]; 5] = [
    b"plain",
    b"\x1b[2J\xff \t| pod prod_payments | container api",
    b"\rfeed 00:00:00.000 LEAKED kubepods",
    b"\xe2\x80\xae.ecivres",
    b"=?%s{}\"'\\",
];

/// All of it.
pub struct Load {
    home: Cgroup,
    /// The tenant's cgroups, from the top down.
    tenant: Vec<Cgroup>,
    containers: VecDeque<Cgroup>,
    address: String,
    stalled: VecDeque<TcpStream>,
    leaks: VecDeque<(String, PathBuf)>,
    rounds: u64,
    pub made: u64,
    pub explained: u64,
    pub switched: u64,
}

impl Load {
    /// `address`: of `serve`.
    pub fn start(address: &str) -> Self {
        garbage();
        fs::create_dir_all(SHM).expect("a directory on tmpfs");
        let mut tenant = vec![Cgroup::below_root("user.slice")];
        for name in [format!("user-{UID}.slice"), format!("user@{UID}.service"), "user.slice".to_owned()] {
            let parent = &tenant[tenant.len() - 1];
            parent.enable_memory();
            tenant.push(parent.child(name));
        }
        tenant[tenant.len() - 1].enable_memory();
        Self {
            home: Cgroup::home("soak"),
            tenant,
            containers: VecDeque::new(),
            address: address.to_owned(),
            stalled: VecDeque::new(),
            leaks: VecDeque::new(),
            rounds: 0,
            made: 0,
            explained: 0,
            switched: 0,
        }
    }

    /// A second or so of it.
    pub fn round(&mut self) {
        let begin = Instant::now();
        for number in 0..CHURN {
            let name = [NAMES[number as usize % NAMES.len()], format!("-{number}").as_bytes()].concat();
            let cgroup = self.home.child(OsStr::from_bytes(&name));
            if number % TASK_EACH == 0 {
                waitpid(fork_in(Some(&cgroup), || ()), None).expect("a task");
            }
            cgroup.remove();
        }
        let slice = &self.tenant[self.tenant.len() - 1];
        self.containers.push_back(slice.child(format!("libpod-{:064x}.scope", self.rounds)));
        if self.containers.len() > CONTAINERS {
            // Its end removes it.
            self.containers.pop_front();
        }
        self.leak();
        self.made += CHURN + 2;
        self.stall();
        self.rounds += 1;
        match self.rounds % HOTPLUG_EACH {
            0 => {
                fs::write(SWITCH, "0").expect("take a CPU offline");
                self.switched += 1;
            }
            OFFLINE => fs::write(SWITCH, "1").expect("take a CPU online"),
            _ => {}
        }
        if self.rounds.is_multiple_of(EXPLAIN_EACH) {
            let (path, _) = &self.leaks[self.leaks.len() / 2];
            let explain = Explain::run(&[path]);
            assert!([Some(0), Some(4)].contains(&explain.code), "{:?} {}", explain.code, explain.stderr);
            self.explained += 1;
        }
        thread::sleep(ROUND.saturating_sub(begin.elapsed()));
    }

    /// A memcg that stays: a file on a tmpfs is charged to it.
    fn leak(&mut self) {
        let cgroup = self.home.child(format!("leak-{}", self.rounds));
        let file = Path::new(SHM).join(self.rounds.to_string());
        let pid = fork_in(Some(&cgroup), || fs::write(&file, vec![1; LEAK_BYTES]).expect("write a file"));
        waitpid(pid, None).expect("a task");
        cgroup.remove();
        self.leaks.push_back((cgroup.path().to_owned(), file));
        if self.leaks.len() > LEAKS
            && let Some((_, file)) = self.leaks.pop_front()
        {
            fs::remove_file(file).expect("remove a file");
        }
    }

    /// Two clients: one never ends its request, the other never reads its answer.
    fn stall(&mut self) {
        for request in ["GET /metrics HTTP/1.1\r\nHost:", "GET /leaks.json HTTP/1.1\r\nHost: node\r\n\r\n"] {
            let Ok(mut stream) = TcpStream::connect(&self.address) else { continue };
            // It may be closed: the server has had enough of us.
            let _ = stream.write_all(request.as_bytes());
            self.stalled.push_back(stream);
        }
        while self.stalled.len() > STALLED {
            let first = self.stalled.pop_front();
            let _ = first.map(|mut stream| stream.read(&mut [0; 1]));
        }
    }

    /// No more of it; the leaks stay.
    pub fn end(&mut self) {
        self.stalled.clear();
        fs::write(SWITCH, "1").expect("take a CPU online");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, "1");
        let _ = fs::remove_dir_all(SHM);
        // Children first.
        self.containers.clear();
        while self.tenant.pop().is_some() {}
    }
}

/// The tenant's lists of containers: each as long as a file of a user may be, in each place where one is looked for.
fn garbage() {
    fs::write("/etc/passwd", format!("tenant:x:{UID}:{UID}::/home/tenant:/bin/sh\n")).expect("write passwd");
    let containers =
        format!("[{}{{\"id\":\"x\"}}]", "{\"id\":\"0\",\"names\":[\"n\"]},".repeat(LIST_BYTES / 25));
    let storage = Path::new(STORAGE);
    let mut theirs = vec![PathBuf::from("/home/tenant"), storage.to_owned()];
    for directory in DRIVERS.map(|driver| storage.join(format!("{driver}-containers"))) {
        fs::create_dir_all(&directory).expect("directories");
        for list in LISTS.map(|list| directory.join(list)) {
            fs::write(&list, &containers).expect("write a list");
            theirs.push(list);
        }
        theirs.push(directory);
    }
    symlink("/dev", storage.join(format!("{LINK}-containers"))).expect("a link");
    for path in theirs {
        chown(path, Some(UID), Some(UID)).expect("give it to the tenant");
    }
}
