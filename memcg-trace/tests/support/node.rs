//! A node in a directory: where runtimes keep their files, the daemons, an image without a network.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{self, Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{
    eventually,
    process::{command, run},
};

/// The image that each runtime is given.
pub const IMAGE: &str = "docker.io/local/busybox:1";

/// A directory that looks like the root of a node; all that was made for it goes with the test.
pub struct Node {
    /// On a tmpfs: what a container reads or makes on a disk would be charged to it, and pin it.
    root: PathBuf,
    /// Cgroups that runtimes leave behind.
    cgroups: RefCell<Vec<String>>,
    /// The machine has a podman of its own.
    podman: bool,
}

/// What a container does that lives for 200 ms.
const SHORTLY: [&str; 3] = ["/bin/busybox", "sleep", "0.2"];

/// Where podman keeps its locks, whatever directories it is given.
const LOCKS: &str = "/dev/shm/libpod_lock";

/// Who makes the cgroups of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Cgroupfs,
    Systemd,
}

/// A process that ends with the test.
struct Daemon(Child);

pub struct Containerd<'a> {
    node: &'a Node,
    _daemon: Daemon,
}

pub struct Docker<'a> {
    node: &'a Node,
    _daemon: Daemon,
}

pub struct Podman<'a>(&'a Node);

impl Node {
    pub const FILE_BYTES: u64 = 1 << 20;

    pub fn new() -> Self {
        // podman refuses paths of more than 50 characters.
        let root = PathBuf::from(format!("/dev/shm/memcg-{}", process::id()));
        let node = Self { root, cgroups: RefCell::default(), podman: Path::new(LOCKS).exists() };
        // As on any node, those of the root are there before runtimes put something into them: the names thread reads below what is
        // there when it starts.
        for directory in
            ["etc", "home", "run", "var", "outlives", "rootfs/bin", "rootfs/outlives", "bundle", "log"]
        {
            fs::create_dir_all(node.path(directory)).expect("make the directories of a node");
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("this test needs a static busybox: install busybox-static");
        fs::copy(busybox, node.path("rootfs/bin/busybox")).expect("copy busybox");
        symlink("busybox", node.path("rootfs/bin/sh")).expect("link sh");
        node.make_image();
        node
    }

    pub fn root(&self) -> &str {
        self.root.to_str().expect("a path in ASCII")
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// What containers see as /outlives.
    pub fn outlives(&self) -> PathBuf {
        self.path("outlives")
    }

    /// What containers run. Without the words of dd: they would be one more page that outlives the container.
    pub fn script(&self) -> [String; 3] {
        let script = "/bin/busybox dd if=/dev/zero of=/outlives/file bs=65536 count=16 2>/dev/null; \
                      /bin/busybox sleep 100000";
        ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]
    }

    /// To be removed in the end, with the cgroups above them as far as those are empty.
    pub fn cgroups(&self, paths: &[&str]) {
        self.cgroups.borrow_mut().extend(paths.iter().map(|path| (*path).to_owned()));
    }

    /// Where containerd keeps the bundle of the container at `path`.
    pub fn bundle_of(&self, path: &str) -> PathBuf {
        let id = path.rsplit('/').next().unwrap_or_default();
        let namespace = if path.starts_with("/kubepods") { "k8s.io" } else { "default" };
        self.path("run/containerd/io.containerd.runtime.v2.task").join(namespace).join(id)
    }

    /// As `docker save` writes one.
    fn make_image(&self) {
        let image = self.path("image");
        fs::create_dir(&image).expect("a directory");
        check(
            Command::new("tar")
                .args(["-C"])
                .arg(self.path("rootfs"))
                .arg("-cf")
                .arg(image.join("layer.tar"))
                .arg("."),
        );
        let sum = check(Command::new("sha256sum").arg(image.join("layer.tar")));
        let sum = String::from_utf8_lossy(&sum.stdout);
        let sum = sum.split(' ').next().unwrap_or_default();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux", "config": {"Cmd": self.script()},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
        });
        fs::write(image.join("config.json"), config.to_string()).expect("write the image's configuration");
        let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
        fs::write(image.join("manifest.json"), manifest.to_string()).expect("write the image's manifest");
        let tar = self.path("image.tar");
        check(Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(tar).args([
            "manifest.json",
            "config.json",
            "layer.tar",
        ]));
    }

    /// What is known of the container at `path` where there is nothing but the socket of its runtime.
    pub fn ask_sockets(&self, socket: &str, path: &str) -> Value {
        let root = self.path("sockets");
        let link = root.join(socket);
        fs::create_dir_all(link.parent().expect("a directory above")).expect("make a directory");
        fs::hard_link(self.path(socket), link).expect("link the socket");
        let answer = run(command().args(["whois", "-o", "json", "--host-root"]).arg(root).arg(path));
        let answer: Value = serde_json::from_slice(&answer.stdout).expect("one object");
        answer["container"].clone()
    }

    fn daemon(&self, name: &str, command: &mut Command) -> Daemon {
        let log = fs::File::create(self.path("log").join(name)).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        Daemon(child.unwrap_or_else(|error| panic!("this test needs {name}: cargo xtask setup ({error})")))
    }

    fn await_answer(&self, name: &str, ask: impl Fn() -> Command) {
        eventually(name, || {
            let output = ask().stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
            let log = || fs::read_to_string(self.path("log").join(name)).unwrap_or_default();
            if output.status.success() { Ok(()) } else { Err(format!("{}{}", text(&output), log())) }
        });
    }

    fn runc(&self) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.path("run/runc"));
        runc
    }

    /// A container of runc alone.
    pub fn run_runc(&self, id: &str, cgroup: &str) {
        let bundle = self.runc_bundle(cgroup, &self.script());
        detached(
            self.runc().args(["run", "--detach", "--bundle"]).arg(&bundle).arg(id),
            &self.path("log/runc"),
        );
    }

    /// From its start to its deletion.
    pub fn run_runc_shortly(&self, id: &str, cgroup: &str) {
        let bundle = self.runc_bundle(cgroup, &SHORTLY.map(str::to_owned));
        detached(self.runc().args(["run", "--bundle"]).arg(&bundle).arg(id), &self.path("log/runc"));
    }

    fn runc_bundle(&self, cgroup: &str, args: &[String]) -> PathBuf {
        let bundle = self.path("bundle");
        // runc does not overwrite one.
        let _ = fs::remove_file(bundle.join("config.json"));
        check(Command::new("runc").arg("spec").current_dir(&bundle));
        let file = bundle.join("config.json");
        let mut config: Value =
            serde_json::from_slice(&fs::read(&file).expect("the configuration")).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["root"]["path"] = json!(self.path("rootfs"));
        config["linux"]["cgroupsPath"] = json!(cgroup);
        config["annotations"] = json!({"org.opencontainers.image.ref.name": "oci:busybox"});
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({
            "destination": "/outlives", "type": "bind", "source": self.outlives(), "options": ["bind", "rw"],
        }));
        fs::write(&file, config.to_string()).expect("write the configuration");
        bundle
    }

    pub fn delete_runc(&self, id: &str) {
        check(self.runc().args(["delete", "--force", id]));
    }

    /// containerd with its CRI plugin, which needs neither CNI nor privileges that a container lacks.
    pub fn containerd(&self, driver: Driver) -> Containerd<'_> {
        let config = format!(
            "version = 2\nroot = \"{root}/var/lib/containerd\"\nstate = \"{root}/run/containerd\"\n\
             [grpc]\naddress = \"{root}/run/containerd/containerd.sock\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{IMAGE}\"\nrestrict_oom_score_adj = true\n\
             disable_apparmor = true\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = {systemd}\n",
            root = self.root(),
            systemd = driver == Driver::Systemd
        );
        let file = self.path("containerd.toml");
        fs::write(&file, config).expect("write the configuration of containerd");
        let daemon = self.daemon("containerd", Command::new("containerd").arg("--config").arg(file));
        let containerd = Containerd { node: self, _daemon: daemon };
        self.await_answer("containerd", || containerd.ctr("default", &["version"]));
        for namespace in ["default", "k8s.io"] {
            let import = ["images", "import", "--snapshotter", "native"];
            check(containerd.ctr(namespace, &import).arg(self.path("image.tar")));
        }
        containerd
    }

    pub fn docker(&self, containerd: &Containerd<'_>) -> Docker<'_> {
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--containerd").arg(containerd.socket());
        dockerd.arg("--host").arg(format!("unix://{}/run/docker.sock", self.root()));
        dockerd.arg("--data-root").arg(self.path("var/lib/docker"));
        dockerd.arg("--exec-root").arg(self.path("run/docker"));
        dockerd.arg("--pidfile").arg(self.path("run/docker.pid"));
        dockerd.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
        let docker = Docker { node: self, _daemon: self.daemon("dockerd", &mut dockerd) };
        self.await_answer("dockerd", || docker.docker(&["version"]));
        check(docker.docker(&["load", "--input"]).arg(self.path("image.tar")));
        docker
    }

    pub fn podman(&self) -> Podman<'_> {
        let podman = Podman(self);
        check(podman.podman(&["load", "--input"]).arg(self.path("image.tar")));
        podman
    }
}

impl Containerd<'_> {
    pub fn socket(&self) -> PathBuf {
        self.node.path("run/containerd/containerd.sock")
    }

    fn ctr(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", namespace]).args(arguments);
        ctr
    }

    /// A command in a container of a pod, as by `kubectl exec`. One at a time.
    pub fn exec(&self, container: &str, arguments: &[&str]) -> Command {
        let mut exec = self.ctr("k8s.io", &["task", "exec", "--exec-id", "exec", container]);
        exec.args(arguments).stdin(Stdio::null());
        exec
    }

    pub fn run(&self, name: &str) {
        let mount =
            format!("type=bind,src={},dst=/outlives,options=rbind:rw", self.node.outlives().display());
        let mut run = self.ctr("default", &["run", "--detach", "--snapshotter", "native", "--mount"]);
        detached(run.args([&mount, IMAGE, name]), &self.node.path("log/ctr"));
    }

    /// From its start to its deletion.
    pub fn run_shortly(&self, name: &str) {
        let mut run = self.ctr("default", &["run", "--rm", "--snapshotter", "native", IMAGE, name]);
        check(run.args(SHORTLY));
    }

    pub fn delete(&self, name: &str) {
        check(&mut self.ctr("default", &["task", "delete", "--force", name]));
        check(&mut self.ctr("default", &["container", "delete", name]));
    }
}

impl Docker<'_> {
    fn docker(&self, arguments: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        // A client may be newer than what this daemon speaks.
        docker.env("DOCKER_API_VERSION", "1.41").env("DOCKER_CONFIG", self.node.path("docker-config"));
        docker.arg("--host").arg(format!("unix://{}/run/docker.sock", self.node.root())).args(arguments);
        docker
    }

    /// The container's id.
    pub fn run(&self, name: &str) -> String {
        let volume = format!("{}:/outlives", self.node.outlives().display());
        let options = ["run", "--detach", "--network", "none", "--label", "app=shop", "--name", name];
        printed(self.docker(&options).args(["--volume", &volume, IMAGE]))
    }

    pub fn delete(&self, name: &str) {
        check(&mut self.docker(&["rm", "--force", name]));
    }
}

impl Podman<'_> {
    fn podman(&self, arguments: &[&str]) -> Command {
        let mut podman = Command::new("podman");
        podman.arg("--root").arg(self.0.path("var/lib/containers/storage"));
        podman.arg("--runroot").arg(self.0.path("run/containers/storage"));
        podman.arg("--tmpdir").arg(self.0.path("run/libpod"));
        podman.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc"]);
        podman.args(["--events-backend", "none"]).args(arguments);
        podman
    }

    /// The container's id.
    pub fn run(&self, name: &str) -> String {
        let volume = format!("{}:/outlives", self.0.outlives().display());
        // What a container on a machine that is one itself may not ask for.
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let options = ["run", "--detach", "--network", "host", "--security-opt", "seccomp=unconfined"];
        printed(self.podman(&options).args(limits).args(["--name", name, "--volume", &volume, IMAGE]))
    }

    pub fn delete(&self, name: &str) {
        check(&mut self.podman(&["rm", "--force", "--time", "0", name]));
    }
}

/// Runs it to its end.
fn check(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?} ({error}): cargo xtask setup installs it"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    output
}

/// Its last line.
fn printed(command: &mut Command) -> String {
    let output = check(command);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().unwrap_or_default().to_owned()
}

/// Runs it to its end; what it leaves running keeps the log open.
fn detached(command: &mut Command, log: &Path) {
    let file = fs::File::create(log).expect("a log file");
    let errors = file.try_clone().expect("a log file");
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status();
    let status =
        status.unwrap_or_else(|error| panic!("{command:?} ({error}): cargo xtask setup installs it"));
    assert!(status.success(), "{command:?}: {}", fs::read_to_string(log).unwrap_or_default());
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in fs::read_dir(self.path("log")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(log.path()).unwrap_or_default();
                let end: Vec<_> = text.lines().rev().take(15).collect();
                eprintln!("{}:", log.path().display());
                end.iter().rev().for_each(|line| eprintln!("  {line}"));
            }
        }
        // Shims and monitors of a test that failed: they name the directory.
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|pid| pid.parse().ok()) else { continue };
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let root = self.root().as_bytes();
            if pid != process::id().cast_signed() && command.windows(root.len()).any(|part| part == root) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let hierarchies: Vec<PathBuf> = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        let roots = || hierarchies.iter().map(PathBuf::as_path).chain([Path::new("/sys/fs/cgroup")]);
        for cgroup in self.cgroups.borrow().iter() {
            roots().for_each(|root| remove_cgroup(&root.join(cgroup.trim_start_matches('/'))));
            for above in Path::new(cgroup).ancestors().skip(1).filter(|path| path.parent().is_some()) {
                roots().for_each(|root| {
                    drop(fs::remove_dir(root.join(above.strip_prefix("/").unwrap_or(above))))
                });
            }
        }
        roots().for_each(|root| drop(fs::remove_dir(root.join("libpod_parent/conmon"))));
        roots().for_each(|root| drop(fs::remove_dir(root.join("libpod_parent"))));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| path.starts_with(self.root()));
        for mount in ours.collect::<Vec<_>>().into_iter().rev() {
            let _ = Command::new("umount").args(["--lazy", mount]).output();
        }
        let _ = fs::remove_dir_all(&self.root);
        if !self.podman {
            let _ = fs::remove_file(LOCKS);
        }
    }
}

/// Ends what runs in it, and removes it and all below.
fn remove_cgroup(directory: &Path) {
    for below in fs::read_dir(directory).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&below.path());
        }
    }
    let tasks = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in tasks.lines().filter_map(|pid| pid.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for _ in 0..100 {
        if fs::remove_dir(directory).is_ok() || !directory.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
