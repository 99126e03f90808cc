//! The container runtimes of Debian, each with a container that leaves a file behind: its owner is reported after the
//! container and its bundle are gone.
//!
//! A runtime's files are below a directory of the test, as below the root of a node: --host-root. One tracer follows
//! all, and its recording is replayed at the end.

mod sockets;

use std::{fs, path::Path, process, thread, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    cri::{Cri, Pod},
    eventually,
    file::File,
    machine,
    node::{Driver, IMAGE, Node},
    process::{command, run},
    tracer::Tracer,
};

/// The facts of a container that are the same in every run, with the sources of learned ones.
fn facts(container: &Value) -> Value {
    let facts = ["runtime", "role", "namespace", "pod", "name", "image", "labels"];
    let facts = facts.into_iter().map(|fact| (fact.to_owned(), container[fact].clone()));
    Value::Object(facts.filter(|(_, fact)| !fact.is_null()).collect())
}

#[test]
fn names_outlive_their_containers() {
    let _machine = machine();
    let node = Node::new();
    let recording = File::named("runtimes");
    let mut tracer = Tracer::start(&[
        "--grace",
        "1s",
        "--by",
        "workload",
        "--host-root",
        node.root(),
        "--record",
        recording.0.to_str().expect("a path in ASCII"),
    ]);

    let runc = format!("memcg-trace-test-runc-{}", process::id());
    let path = format!("/memcg-trace-test-{}/{runc}", process::id());
    node.cgroups(&[&path]);
    node.run_runc(&runc, &path);
    let leaked = leak(&node, &mut tracer, &path, || node.delete_runc(&runc));
    assert_eq!(leaked["id"], json!(runc), "{leaked}");
    assert_eq!(facts(&leaked), json!({"runtime": "runc", "name": runc, "image": "oci:busybox"}));

    let containerd = node.containerd(Driver::Cgroupfs);
    let ctr = format!("memcg-trace-test-ctr-{}", process::id());
    let path = format!("/default/{ctr}");
    node.cgroups(&[&path]);
    containerd.run(&ctr);
    let leaked = leak(&node, &mut tracer, &path, || containerd.delete(&ctr));
    let expected = json!({"runtime": "containerd", "role": "workload", "name": ctr, "image": IMAGE});
    assert_eq!(facts(&leaked), expected, "{leaked}");
    assert_eq!(leaked["learned"]["image"], "containerd-api", "{leaked}");

    let uid = format!("0f1e2d3c-4b5a-4978-8695-{:012x}", u64::from(process::id()) | 1 << 40);
    let parent = format!("/kubepods/besteffort/pod{uid}");
    node.cgroups(&[&parent]);
    let cri = Cri::connect(&containerd.socket());
    let pod = Pod { name: "backup-28374650-x7kzq", namespace: "prod", uid: &uid, cgroup: &parent };
    let sandbox = cri.run_sandbox(&pod);
    let container = cri.run_container(&sandbox, &pod, "backup", &node.script());
    let path = format!("{parent}/{container}");
    let asked = node.ask_sockets("run/containerd/containerd.sock", &path);
    assert_eq!((&asked["name"], &asked["learned"]["name"]), (&json!("backup"), &json!("cri")), "{asked}");
    assert_eq!((&asked["image"], &asked["namespace"]), (&json!(IMAGE), &json!("prod")), "{asked}");
    let leaked = leak(&node, &mut tracer, &path, || {
        cri.remove_container(&container);
        cri.remove_sandbox(&sandbox);
    });
    let expected = json!({
        "runtime": "containerd", "role": "workload", "namespace": "prod", "pod": pod.name, "name": "backup", "image": IMAGE,
    });
    assert_eq!(facts(&leaked), expected, "{leaked}");
    let online = tracer.event("online", &format!("{parent}/{sandbox}"));
    assert_eq!(online["container"]["role"], "sandbox", "{online}");

    let docker = node.docker(&containerd);
    let name = format!("memcg-trace-test-docker-{}", process::id());
    let path = format!("/docker/{}", docker.run(&name));
    node.cgroups(&[&path]);
    let asked = node.ask_sockets("run/docker.sock", &path);
    assert_eq!((&asked["name"], &asked["learned"]["name"]), (&json!(name), &json!("docker-api")), "{asked}");
    let leaked = leak(&node, &mut tracer, &path, || docker.delete(&name));
    let expected = json!({
        "runtime": "docker", "role": "workload", "name": name, "image": IMAGE, "labels": {"app": "shop"},
    });
    assert_eq!(facts(&leaked), expected, "{leaked}");

    let podman = node.podman();
    let name = format!("memcg-trace-test-podman-{}", process::id());
    let path = format!("/libpod_parent/libpod-{}", podman.run(&name));
    node.cgroups(&[&path]);
    let leaked = leak(&node, &mut tracer, &path, || podman.delete(&name));
    let expected = json!({"runtime": "podman", "name": name, "image": IMAGE});
    assert_eq!(facts(&leaked), expected, "{leaked}");

    let outcome = tracer.stop();
    let groups: Vec<_> = outcome.groups.iter().map(|group| &group["workload"]).collect();
    let backup = json!({"name": "prod/backup", "part": "container"});
    assert!(groups.contains(&&backup), "{groups:?}");
    let arguments = ["replay", "-o", "json", "--by", "workload"];
    let replayed = run(command().args(arguments).arg(&recording.0));
    let lines = String::from_utf8(replayed.stdout).expect("JSON is UTF-8");
    let replayed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(replayed, outcome.lines, "a replay is the run");
}

/// Waits until the container at `path` has written its file, deletes it, and returns the facts about it once it leaked.
fn leak(node: &Node, tracer: &mut Tracer, path: &str, delete: impl FnOnce()) -> Value {
    let file = node.outlives().join("file");
    eventually("the container's file", || match fs::metadata(&file) {
        Ok(metadata) if metadata.len() == Node::FILE_BYTES => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Facts that do not exist yet when the memcg comes online are looked up again within a second.
    thread::sleep(Duration::from_secs(2));
    delete();
    let leaked = tracer.event("leaked", path);
    assert_eq!(leaked["memcg"]["state"], "dying", "{leaked}");
    assert!(!Path::new(&node.bundle_of(path)).exists(), "its bundle is gone");
    fs::remove_file(&file).expect("remove the container's file");
    leaked["container"].clone()
}
