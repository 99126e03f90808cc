//! A user of the node with a cgroup of their own: what lies in their directories is theirs, and nobody else's.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{self, Command, Output},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        stat::Mode,
    },
    unistd::mkfifo,
};
use serde_json::{Value, json};

use crate::support::process::command;

/// Nobody on this machine.
const UID: u32 = 64_321;
const ID: &str = "74656e616e74732074727920776861742074686579206361732074727920746f";

/// A node in a directory, with a tenant whose home is on it.
struct Tenant(PathBuf);

impl Tenant {
    fn new(name: &str) -> Self {
        let root = PathBuf::from(format!("/dev/shm/memcg-trace-{name}-{}", process::id()));
        let home = root.join("home/tenant");
        for directory in [&home, &root.join("etc"), &root.join("root")] {
            fs::create_dir_all(directory).expect("make the directories of a node");
        }
        let passwd = format!("root:x:0:0::/root:/bin/sh\ntenant:x:{UID}:{UID}::/home/tenant:/bin/sh\n");
        fs::write(root.join("etc/passwd"), passwd).expect("write passwd");
        chown(&home, Some(UID), Some(UID)).expect("give the tenant a home");
        Self(root)
    }

    /// Runs a script as the tenant, where podman keeps the tenant's containers.
    fn run(&self, script: &str) {
        let storage = ".local/share/containers/storage";
        let script = format!("mkdir -p {storage} && cd {storage} && {script}");
        let mut shell = Command::new("sh");
        shell.args(["-ec", &script]).current_dir(self.0.join("home/tenant")).uid(UID).gid(UID);
        let output = shell.output().expect("run a shell");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is known of the tenant's container, asked for within 256 MiB of memory.
    fn whois(&self) -> (Value, Output) {
        let path = format!("/user.slice/user-{UID}.slice/user@{UID}.service/user.slice/libpod-{ID}.scope");
        let program = command();
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\""]).arg(program.get_program());
        limited.args(["whois", "-o", "json", "--host-root"]).arg(&self.0).arg(path);
        let output = limited.output().expect("run memcg-trace");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (answer["container"].clone(), output)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As a bundle's config.json, and as containers/storage lists a container.
fn config(name: &str) -> String {
    json!({"annotations": {"io.kubernetes.cri.container-name": name}}).to_string()
}

fn list(name: &str) -> String {
    json!([{"id": ID, "names": [name], "metadata": json!({"image-name": "busybox:1"}).to_string()}])
        .to_string()
}

#[test]
fn a_tenants_own_files_are_read() {
    let tenant = Tenant::new("own");
    tenant.run(&format!(
        "mkdir -p overlay-containers && echo '{}' > overlay-containers/containers.json",
        list("web")
    ));
    let (container, output) = tenant.whois();
    assert_eq!(container["name"], "web", "{container} {output:?}");
}

/// A device that does something when it is opened would do it.
#[test]
fn what_a_tenants_link_leads_to_is_not_opened() {
    let tenant = Tenant::new("links");
    let device = tenant.path("root/watchdog");
    mkfifo(&device, Mode::S_IRWXU).expect("a FIFO in place of a device");
    let secret = tenant.path("root/config.json");
    fs::write(&secret, config("secret")).expect("a file of root's");
    let opened = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).expect("inotify");
    for file in [&device, &secret] {
        opened.add_watch(file, AddWatchFlags::IN_OPEN).expect("watch a file");
    }
    let userdata = format!("overlay-containers/{ID}/userdata");
    for target in ["/root/watchdog", "../../../../../../../../../root/watchdog", "/root/config.json"] {
        tenant.run(&format!("mkdir -p {userdata} && ln -sfn {target} {userdata}/config.json"));
        let (container, _) = tenant.whois();
        assert_eq!(container["name"], Value::Null, "{target}: {container}");
    }
    // The directories above it, too.
    tenant.run(&format!("rm -r overlay-containers && mkdir -p vfs-containers/{ID}"));
    tenant.run(&format!("ln -s /root vfs-containers/{ID}/userdata"));
    let (container, _) = tenant.whois();
    assert_eq!(container["name"], Value::Null, "{container}");
    let events = opened.read_events().map(|events| events.len()).unwrap_or_default();
    assert_eq!(events, 0, "files of root were opened");
    drop(fs::File::open(&secret).expect("open it"));
    assert_eq!(opened.read_events().expect("an event").len(), 1, "the watch works");
}

#[test]
fn a_file_of_somebody_else_is_not_the_tenants() {
    let tenant = Tenant::new("owner");
    tenant.run("mkdir -p overlay-containers");
    let list_file =
        tenant.path("home/tenant/.local/share/containers/storage/overlay-containers/containers.json");
    fs::write(&list_file, list("of-root")).expect("a file of root's");
    assert_eq!(tenant.whois().0["name"], Value::Null);
    chown(&list_file, Some(UID), Some(UID)).expect("give it to the tenant");
    assert_eq!(tenant.whois().0["name"], "of-root");
}

/// Each of them took ten times its size, and all were kept.
#[test]
fn lists_of_any_number_and_size_take_little() {
    let tenant = Tenant::new("lists");
    tenant.run("mkdir -p bomb overlay-containers vfs-containers");
    let storage = tenant.path("home/tenant/.local/share/containers/storage");
    let bomb = storage.join("bomb/containers.json");
    // As long as such a file may ever have been.
    let entry = format!(r#"{{"id":"{}"}},"#, "0".repeat(64));
    let bytes = 16_000_000 / entry.len() * entry.len();
    let long = format!("[{}{}", entry.repeat(bytes / entry.len()), &list("web")[1..]);
    fs::write(&bomb, long).expect("a long list");
    chown(&bomb, Some(UID), Some(UID)).expect("give it to the tenant");
    tenant.run(
        "for number in $(seq 40); do ln -s bomb link$number-containers; mkdir dir$number-containers; \
         ln bomb/containers.json dir$number-containers/; done; \
         ln bomb/containers.json vfs-containers/; ln bomb/containers.json overlay-containers/",
    );
    let (_, output) = tenant.whois();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A list of sane length beside them is found.
    tenant.run(&format!("rm -r overlay-containers && mkdir overlay-containers && echo '{}' > overlay-containers/containers.json", list("web")));
    assert_eq!(tenant.whois().0["name"], "web");
}

/// fusermount(1) lets any user mount: /proc/self/mountinfo has the bytes of the mount point.
#[test]
fn a_mount_point_of_any_bytes() {
    struct Mounted(PathBuf);

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        }
    }

    let tenant = Tenant::new("mount");
    let point = tenant.0.join("home/tenant").join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&point).expect("a directory");
    let tmpfs = Some("tmpfs");
    mount(tmpfs, &point, tmpfs, MsFlags::empty(), None::<&str>).expect("a tmpfs");
    let _mounted = Mounted(point);
    let output = command().args(["scan", "-o", "json", "--top", "1"]).output().expect("run memcg-trace");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
