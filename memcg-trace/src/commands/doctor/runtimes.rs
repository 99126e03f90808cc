//! Container runtimes of this node, detected by their sockets and directories.

use std::path::Path;

use crate::kernel::{ability::Answer, pod};

/// Names of runtimes, and paths that exist if they are installed.
const RUNTIMES: &[(&str, &[&str])] = &[
    (
        "containerd",
        &["/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/containerd"],
    ),
    ("docker", &["/run/docker.sock", "/var/lib/docker"]),
    ("cri-o", &["/run/crio/crio.sock", "/var/run/crio/crio.sock"]),
    ("podman", &["/run/podman/podman.sock", "/run/libpod", "/var/lib/containers/storage"]),
    ("kubelet", &["/var/lib/kubelet/config.yaml", "/var/lib/kubelet"]),
    ("lxc", &["/var/lib/lxc", "/var/snap/lxd/common/lxd/unix.socket"]),
];

/// One result for all of them. `root` is the root directory of the node.
pub fn found(root: &Path) -> Answer {
    let found = RUNTIMES.iter().filter_map(|(name, places)| {
        let place = places.iter().find(|place| root.join(place.trim_start_matches('/')).exists())?;
        Some(format!("{name} ({place})"))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        let reason = "none at the usual places".to_owned();
        let next = if pod::is_pod() {
            format!("in the pod's manifest: {}", pod::HOST_RUN)
        } else {
            "none needed: containers are recognised by their cgroup paths".to_owned()
        };
        return Answer::No { reason, next };
    }
    Answer::yes(found.join(", "))
}
