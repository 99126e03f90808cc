//! Who runs containers, how, and what for.

use serde::{Deserialize, Serialize};

/// Who runs the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Docker,
    /// The CRI plugin or nerdctl.
    Containerd,
    #[serde(rename = "cri-o")]
    CriO,
    Podman,
    BuildKit,
    Lxc,
    /// runc alone, without anything above it that has names.
    Runc,
}

/// What a cgroup of a runtime is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What somebody wanted to run.
    Workload,
    /// The container that keeps the namespaces of a pod: pause.
    Sandbox,
    /// The process that watches a container: conmon, a shim, lxc.monitor. It has no container id of its own.
    Monitor,
}

/// How kubelet or the runtime makes cgroups: by `mkdir`, or by asking systemd for a slice or scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Cgroupfs,
    Systemd,
}

/// Quality of service class of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    BestEffort,
    Burstable,
    Guaranteed,
}

display_as_serialized!(Runtime, Role, Driver, Qos);
