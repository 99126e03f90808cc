//! A container by runc, with the cgroup path that kubelet gives it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{eventually, machine, tracer::Tracer};

/// Exists on this machine alone: nothing of it collides with a real pod.
const ID: &str = "6d656d63672d74726163653a612074657374206f662074686520747261636572";

#[test]
fn container_that_leaves_a_file_behind() {
    let _machine = machine();
    let pod_uid = format!("0f1e2d3c-4b5a-4978-8695-{:012x}", process::id());
    let parent = format!("/kubepods/besteffort/pod{pod_uid}");
    let path = format!("{parent}/{ID}");
    let below = format!("{parent}/*");
    let mut tracer = Tracer::start(&["--grace", "2s", "--cgroup", &below]);

    let container = Container::run(&parent);
    let online = tracer.event("online", &path);
    assert_belongs(&online, &pod_uid);
    let file = container.file();
    eventually("the container's file", || match fs::metadata(&file) {
        Ok(metadata) if metadata.len() == Container::BYTES => Ok(()),
        other => Err(format!("{other:?}")),
    });
    container.delete();
    for kind in ["removed", "offline", "leaked"] {
        let event = tracer.event(kind, &path);
        assert_belongs(&event, &pod_uid);
    }
    let leaked = tracer.event("leaked", &path);
    assert_eq!(leaked["memcg"]["state"], "dying", "{leaked}");
    assert!(leaked["memcg"]["age_ns"].as_u64() >= Some(2_000_000_000), "{leaked}");

    fs::remove_file(&file).expect("remove the container's file");
    // What it was the first to read, of runc for one, is charged to it as well.
    fs::write("/proc/sys/vm/drop_caches", "1").expect("drop the page cache");
    let late = tracer.event("late", &path);
    assert_belongs(&late, &pod_uid);
    let outcome = tracer.stop();
    outcome.assert_conclusive();
    assert_eq!(outcome.life(&path).last(), Some(&"late"));
    assert_backend(&outcome.summary, &outcome.stderr);
}

fn assert_belongs(event: &Value, pod_uid: &str) {
    let container = &event["container"];
    assert_eq!((&container["id"], &container["pod_uid"]), (&json!(ID), &json!(pod_uid)), "{event}");
    assert_eq!(
        (&container["qos"], &container["driver"]),
        (&json!("besteffort"), &json!("cgroupfs")),
        "{event}"
    );
}

/// Kprobes where the kernel has them; where not, it says so.
fn assert_backend(summary: &Value, stderr: &str) {
    if Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        assert_eq!(summary["backend"], "kprobe", "{stderr}");
        return;
    }
    assert_eq!(summary["backend"], "tracepoint", "{stderr}");
    let reason = summary["backend_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("no kprobes"), "{summary}");
    assert!(stderr.contains("tracepoint") && stderr.contains(reason), "{stderr}");
}

/// A running container and all that was made for it; it goes with the test.
struct Container {
    /// On a tmpfs: runc makes directories in it, whose blocks on a disk would be charged to the container and pin it.
    bundle: PathBuf,
    parent: String,
}

impl Container {
    const BYTES: u64 = 1 << 20;

    fn run(parent: &str) -> Self {
        let bundle = format!("/dev/shm/memcg-trace-test-container-{}", process::id());
        let container = Self { bundle: bundle.into(), parent: parent.to_owned() };
        container.make_bundle();
        let log = fs::File::create(container.bundle.join("log")).expect("a log file");
        let mut run = container.runc();
        run.args(["run", "--detach", "--bundle"]).arg(&container.bundle).arg(ID);
        // The container keeps what it is given open.
        let status = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).status().expect(NO_RUNC);
        let log = fs::read_to_string(container.bundle.join("log")).unwrap_or_default();
        assert!(status.success(), "runc run: {status}: {log}");
        container
    }

    fn runc(&self) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.bundle.join("state"));
        runc
    }

    fn make_bundle(&self) {
        let bin = self.bundle.join("rootfs/bin");
        for directory in [&bin, &self.outlives()] {
            fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("this test needs a static busybox: install busybox-static");
        fs::copy(busybox, bin.join("busybox")).expect("copy busybox");
        symlink("busybox", bin.join("sh")).expect("link sh");

        let spec = Command::new("runc").arg("spec").current_dir(&self.bundle).output().expect(NO_RUNC);
        assert!(spec.status.success(), "runc spec: {}", String::from_utf8_lossy(&spec.stderr));
        let file = self.bundle.join("config.json");
        let config = fs::read(&file).expect("the configuration that runc wrote");
        let mut config: Value = serde_json::from_slice(&config).expect("the configuration is JSON");
        // Without the words of dd: they would be one more page that outlives the container.
        let script =
            "busybox dd if=/dev/zero of=/outlives/file bs=65536 count=16 2>/dev/null; busybox sleep 100000";
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", script]);
        config["linux"]["cgroupsPath"] = json!(format!("{}/{ID}", self.parent));
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({
            "destination": "/outlives", "type": "bind", "source": self.outlives(), "options": ["bind", "rw"],
        }));
        fs::write(&file, config.to_string()).expect("write the configuration");
    }

    /// What the container sees as /outlives.
    fn outlives(&self) -> PathBuf {
        self.bundle.join("outlives")
    }

    fn file(&self) -> PathBuf {
        self.outlives().join("file")
    }

    fn delete(&self) {
        let output = self.runc().args(["delete", "--force", ID]).output().expect(NO_RUNC);
        assert!(output.status.success(), "runc delete: {}", String::from_utf8_lossy(&output.stderr));
    }
}

const NO_RUNC: &str = "this test needs runc: install the package runc";

impl Drop for Container {
    fn drop(&mut self) {
        // Most of it is gone unless the test failed.
        let _ = self.runc().args(["delete", "--force", ID]).output();
        let _ = fs::remove_dir_all(&self.bundle);
        // runc leaves the directories above the container's, in every hierarchy. Those of others are not empty.
        let hierarchies =
            fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for root in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
            for path in Path::new(&self.parent).ancestors().filter(|path| path.parent().is_some()) {
                let _ = fs::remove_dir(root.join(path.strip_prefix("/").unwrap_or(path)));
            }
        }
    }
}
