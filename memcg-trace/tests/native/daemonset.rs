//! The DaemonSet's container as kubelet has containerd make it: the capabilities of deploy/kubernetes and no others, a
//! read-only root, no new privileges, containerd's own seccomp profile (`RuntimeDefault`) and the limit of memory.

use std::{fs, net::TcpListener, path::Path, process};

use crate::support::{
    cri::{Cri, Daemon, Pod},
    doctor::Doctor,
    eventually,
    exporter::Pages,
    in_pod::sees_the_node,
    machine,
    node::{Driver, Node},
    process::{command, run},
};

/// `BPF` and so on.
fn capabilities() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/base/daemonset.yaml");
    let manifest =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let list = manifest.lines().find_map(|line| line.trim().strip_prefix("add: [")?.strip_suffix(']'));
    list.expect("a list of capabilities").split(", ").map(str::to_owned).collect()
}

#[test]
fn the_daemonset_works_in_containerd() {
    let _machine = machine();
    let node = Node::new();
    let containerd = node.containerd(Driver::Cgroupfs);
    let cri = Cri::connect(&containerd.socket());
    let uid = |last: u64| format!("0f1e2d3c-4b5a-4978-8695-{last:012x}");
    let (ours, theirs) = (uid(u64::from(process::id()) | 1 << 41), uid(u64::from(process::id()) | 1 << 42));
    let parents = [&ours, &theirs].map(|uid| format!("/kubepods/burstable/pod{uid}"));
    node.cgroups(&[&parents[0], &parents[1]]);
    let (name, of) = ("backup-28374650-x7kzq", "prod");
    // As kubelet does before it makes a container.
    let logs = format!("{}/var/log", node.root());
    fs::create_dir_all(format!("{logs}/pods/{of}_{name}_{theirs}")).expect("make a directory");

    let pod = Pod { name: "memcg-trace-x7kzq", namespace: "memcg-trace", uid: &ours, cgroup: &parents[0] };
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let program = command().get_program().to_str().expect("a path in ASCII").to_owned();
    let daemon = Daemon {
        command: &["/memcg-trace", "serve", "--grace=1s", "--refresh=2s"],
        env: &[("MEMCG_TRACE_HOST_ROOT", "/host"), ("MEMCG_TRACE_LISTEN", &address)],
        capabilities: capabilities(),
        mounts: &[
            (&program, "/memcg-trace"),
            ("/sys/fs/cgroup", "/sys/fs/cgroup"),
            (&format!("{}/run", node.root()), "/host/run"),
            (&logs, "/host/var/log"),
        ],
    };
    let sandbox = cri.run_sandbox(&pod);
    let container = cri.run_daemon(&sandbox, &pod, &daemon);
    // It is confined as it was asked for: capabilities 39, 38, 34, 14 and 2, a filter, and no way to more.
    let status = ["/bin/busybox", "grep", "-E", "^(CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status"];
    let status = run(&mut containerd.exec(&container, &status));
    let status = String::from_utf8_lossy(&status.stdout);
    assert_eq!(status, "CapBnd:\t000000c400004004\nNoNewPrivs:\t1\nSeccomp:\t2\n");

    let pages = Pages::at(address.clone());
    pages.await_ready();
    let within = |arguments: &[&str]| containerd.exec(&container, &[&["/memcg-trace"], arguments].concat());
    let scan = sees_the_node(within);
    assert_eq!(scan.code, Some(0), "{}", scan.stderr);
    // By its environment alone.
    let doctor = Doctor::of(&mut within(&["doctor", "-o", "json", "--watch", "1ms"]));
    assert_eq!(doctor.ability("container runtimes").0, "yes", "{:?}", doctor.ability("container runtimes"));

    let pod = Pod { name, namespace: of, uid: &theirs, cgroup: &parents[1] };
    let leaky = cri.run_sandbox(&pod);
    let leaking = cri.run_container(&leaky, &pod, "backup", &node.script());
    let file = node.outlives().join("file");
    eventually("the container's file", || match fs::metadata(&file) {
        Ok(metadata) if metadata.len() == Node::FILE_BYTES => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cri.remove_container(&leaking);
    let series = "memcg_trace_workload_leaked_memcgs{namespace=\"prod\",workload=\"backup\",kind=\"pod\"}";
    eventually("the leak to show", || match pages.value(series) {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?} leaked")),
    });
    let path = format!("{}/{leaking}", parents[1]);
    eventually("what pins it to be known", || {
        let leak = pages.leak(&path).ok_or("no leak")?;
        if leak["memcg"]["pinned"]["by"][0]["pin"] == "tmpfs" { Ok(()) } else { Err(leak.to_string()) }
    });
    // After the next walk.
    let shmem = "memcg_trace_dying_charged_bytes{kind=\"shmem\"}";
    eventually("what it holds to be known", || match pages.value(shmem) {
        Some(bytes) if bytes >= Node::FILE_BYTES as f64 => Ok(()),
        other => Err(format!("{other:?} bytes")),
    });
    fs::remove_file(&file).expect("remove the container's file");
    for sandbox in [&leaky, &sandbox] {
        cri.remove_sandbox(sandbox);
    }
}
