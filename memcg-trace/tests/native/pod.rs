//! In a pod: a container by runc with the security context of the DaemonSet, and with one thing less at a time.

use std::{
    fs,
    path::PathBuf,
    process::{self, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{doctor::Doctor, in_pod::sees_the_node, machine, process::command};

#[test]
fn a_pod_with_the_least_privileges_sees_the_node() {
    let _machine = machine();
    let pod = Pod::new();
    sees_the_node(|arguments| pod.run(arguments));
}

#[test]
fn what_a_pod_lacks_is_named_with_the_line_of_its_manifest() {
    let _machine = machine();
    /// What is changed in the container's configuration; then ability, reason and the line of the manifest.
    type Case = (fn(&mut Value), &'static str, &'static str, &'static str);
    let cases: [Case; 7] = [
        (|pod| capabilities(pod, &["CAP_BPF"]), "privileges", "missing CAP_PERFMON", "PERFMON"),
        (|pod| forbid(pod, "bpf"), "privileges", "a seccomp filter", "seccompProfile"),
        (|pod| forbid(pod, "perf_event_open"), "tracepoint backend", "perf_event_open", "seccompProfile"),
        (|pod| mount(pod, None), "memory controller", "mounted", "hostPath: {path: /sys/fs/cgroup}"),
        (
            |pod| mount(pod, Some(json!({ "type": "cgroup", "source": "cgroup", "options": ["ro"] }))),
            "the whole cgroup hierarchy",
            "only our own cgroup",
            "hostPath: {path: /sys/fs/cgroup}",
        ),
        (
            |pod| mounts(pod).retain(|mount| mount["destination"] != "/sys"),
            "type information (BTF)",
            "BTF",
            "/sys",
        ),
        (|_| {}, "container runtimes", "none", "MEMCG_TRACE_HOST_ROOT"),
    ];
    for (change, what, reason, line) in cases {
        let pod = Pod::new();
        pod.change(change);
        let doctor = Doctor::of(&mut pod.run(&["doctor", "-o", "json", "--watch", "1ms"]));
        let (answer, why) = doctor.ability(what);
        assert!(answer == "no" && why.contains(reason), "{what}: {answer}: {why}");
        assert!(doctor.next_step(what).contains(line), "{what}: {}", doctor.next_step(what));
    }
}

#[test]
fn buffers_become_smaller_without_the_capability_to_lock_memory() {
    let _machine = machine();
    let pod = Pod::new();
    pod.change(|pod| {
        capabilities(pod, &["CAP_BPF", "CAP_PERFMON"]);
        pod["process"]["rlimits"] = json!([{ "type": "RLIMIT_MEMLOCK", "hard": 65536, "soft": 65536 }]);
    });
    let doctor = Doctor::of(&mut pod.run(&["doctor", "-o", "json", "--watch", "1ms"]));
    let (answer, found) = doctor.ability("tracepoint backend");
    assert!(answer == "yes" && !found.contains("of 512 pages"), "{answer}: {found}");
}

/// A container whose root file system is the program alone.
struct Pod {
    bundle: PathBuf,
}

impl Pod {
    fn new() -> Self {
        let pod = Self { bundle: format!("/dev/shm/memcg-trace-test-pod-{}", process::id()).into() };
        let rootfs = pod.bundle.join("rootfs");
        fs::create_dir_all(&rootfs).expect("make a bundle");
        fs::copy(command().get_program(), rootfs.join("memcg-trace")).expect("copy the program");
        let spec = Command::new("runc").args(["spec", "--bundle"]).arg(&pod.bundle).output();
        let spec = spec.expect("this test needs runc: install the package runc");
        assert!(spec.status.success(), "runc spec: {}", String::from_utf8_lossy(&spec.stderr));
        pod.change(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["noNewPrivileges"] = json!(true);
            config["process"]["env"] = json!(["KUBERNETES_SERVICE_HOST=10.0.0.1"]);
            config["root"]["readonly"] = json!(true);
            config["linux"]["cgroupsPath"] = json!(format!("/memcg-trace-test-runc-{}", process::id()));
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|namespace| namespace["type"] != "cgroup");
            namespaces.push(json!({ "type": "cgroup" }));
            capabilities(config, &["CAP_BPF", "CAP_PERFMON", "CAP_IPC_LOCK", "CAP_SYSLOG"]);
            let bind = json!({ "type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind", "ro"] });
            mount(config, Some(bind));
        });
        pod
    }

    /// Changes the container's configuration.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let file = self.bundle.join("config.json");
        let text = fs::read(&file).expect("the configuration");
        let mut config = serde_json::from_slice(&text).expect("the configuration is JSON");
        change(&mut config);
        fs::write(&file, config.to_string()).expect("write the configuration");
    }

    /// memcg-trace with these arguments, in the container. One at a time.
    fn run(&self, arguments: &[&str]) -> Command {
        self.change(|config| config["process"]["args"] = json!([&["/memcg-trace"], arguments].concat()));
        let mut runc = self.runc();
        runc.args(["run", "--bundle"]).arg(&self.bundle).arg("pod").stdin(Stdio::null());
        runc
    }

    fn runc(&self) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.bundle.join("state"));
        runc
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Gone unless the test failed.
        let _ = self.runc().args(["delete", "--force", "pod"]).output();
        let _ = fs::remove_dir_all(&self.bundle);
    }
}

fn capabilities(config: &mut Value, capabilities: &[&str]) {
    config["process"]["capabilities"] =
        json!({ "bounding": capabilities, "effective": capabilities, "permitted": capabilities });
}

/// Refuses one system call with EPERM, as the profiles of container runtimes do.
fn forbid(config: &mut Value, call: &str) {
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": [call], "action": "SCMP_ACT_ERRNO" }],
    });
}

fn mounts(config: &mut Value) -> &mut Vec<Value> {
    config["mounts"].as_array_mut().expect("mounts")
}

/// What is at /sys/fs/cgroup.
fn mount(config: &mut Value, mount: Option<Value>) {
    let mounts = mounts(config);
    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    mounts.extend(mount.map(|mut mount| {
        mount["destination"] = json!("/sys/fs/cgroup");
        mount
    }));
}
