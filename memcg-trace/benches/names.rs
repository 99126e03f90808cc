//! What attribution costs. `cargo xtask bench` runs it and shows the numbers.
//!
//! - `paths`: cgroup paths to containers and units; paths per second of CPU time, one figure a batch.
//! - `node`: names of a container from its bundle, on a node with many; CPU time of each, in microseconds, one figure a
//!   batch.

use std::{fs, hint::black_box, path::PathBuf, process, time::Duration};

use memcg_trace::{
    attribution::{Container, Question, container_of_path, unit_of_path},
    source::names::NameSources,
};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

const BATCHES: usize = 15;
const PATHS: usize = 200_000;
const CONTAINERS: usize = 200;

fn main() {
    // cargo adds an argument of its own.
    let result = match std::env::args().nth(1).as_deref() {
        Some("node") => json!({ "container_us": node() }),
        _ => json!({ "paths_per_second": paths() }),
    };
    println!("{result}");
}

/// The mixture of a Kubernetes node: containers of both drivers, their pods, units, and what is none of these.
fn paths() -> Vec<f64> {
    let id = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
    let uid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
    let slice = format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice",
        uid.replace('-', "_")
    );
    let samples = [
        format!("/kubepods/burstable/pod{uid}/{id}"),
        format!("{slice}/cri-containerd-{id}.scope"),
        format!("{slice}/crio-conmon-{id}.scope"),
        slice,
        "/system.slice/system-postgresql.slice/postgresql@9.4-main.service".to_owned(),
        "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope".to_owned(),
        format!("/system.slice/docker-{id}.scope/init.scope"),
        "/podruntime/kubelet".to_owned(),
    ];
    let batch = || {
        let start = cpu_time();
        for path in samples.iter().cycle().take(PATHS) {
            let path = black_box(path.as_bytes());
            black_box((container_of_path(path), unit_of_path(path)));
        }
        PATHS as f64 / (cpu_time() - start).as_secs_f64()
    };
    (0..BATCHES).map(|_| batch()).collect()
}

/// A root directory with the bundles of containerd.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        let root = Self(std::env::temp_dir().join(format!("memcg-trace-bench-{}", process::id())));
        for number in 0..CONTAINERS {
            let id = format!("{number:064x}");
            let bundle = root.0.join("run/containerd/io.containerd.runtime.v2.task/k8s.io").join(&id);
            fs::create_dir_all(&bundle).expect("a directory");
            // As long as one with the seccomp profile that Kubernetes gives by default.
            let syscalls: Vec<_> = (0..400).map(|syscall| format!("a_system_call_{syscall}")).collect();
            let mounts: Vec<_> = (0..30)
                .map(|mount| {
                    json!({
                        "destination": format!("/var/run/secrets/of/mount/{mount}"), "type": "bind",
                        "source": format!("/var/lib/kubelet/pods/a/volumes/{mount}"), "options": ["rbind", "rprivate", "rw"],
                    })
                })
                .collect();
            let config = json!({
                "ociVersion": "1.0.2", "process": {"args": vec!["a"; 20], "env": vec!["NAME=value"; 100]}, "mounts": mounts,
                "annotations": {
                    "io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.container-type": "container",
                    "io.kubernetes.cri.image-name": "registry.example/web:1", "io.kubernetes.cri.sandbox-id": id,
                    "io.kubernetes.cri.sandbox-name": "web-7d4b9c6f5d-x2xzz", "io.kubernetes.cri.sandbox-namespace": "prod",
                },
                "linux": {"cgroupsPath": path(number), "seccomp": {"syscalls": [{"names": syscalls}]}},
            });
            fs::write(bundle.join("config.json"), config.to_string()).expect("write a bundle");
        }
        root
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn path(number: usize) -> String {
    format!("/kubepods/burstable/pod6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e/{number:064x}")
}

fn node() -> Vec<f64> {
    let root = Root::new();
    let mut node = NameSources::open(&root.0).expect("the root directory");
    let batch = |_| {
        let start = cpu_time();
        for number in 0..CONTAINERS {
            let path = path(number);
            let question = Question::about(path.as_bytes()).expect("a container");
            let container = Container::of(path.as_bytes(), &node.files(&question));
            assert_eq!(container.and_then(|container| container.name).as_deref(), Some("web"));
        }
        (cpu_time() - start).as_secs_f64() * 1e6 / CONTAINERS as f64
    };
    (0..BATCHES).map(batch).collect()
}

/// CPU time of this thread: what others do on the machine does not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock that every kernel has").into()
}
