//! Container runtimes, roles, cgroup drivers and QoS classes.

use serde::{Deserialize, Serialize};

/// The container runtime.
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
    /// Kata Containers: the sandbox is a virtual machine.
    Kata,
    Nomad,
    /// Standalone runc, without a manager that has names.
    Runc,
}

/// The role of a runtime's cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The actual workload.
    Workload,
    /// The container that holds the namespaces of a pod: pause.
    Sandbox,
    /// The process that monitors a container: conmon, a shim, lxc.monitor. It has no container id of its own.
    Monitor,
    /// What the virtual machine of a sandbox costs beside what its containers may have. It has no id of its own.
    Overhead,
}

/// The cgroup driver of kubelet or the runtime: `mkdir`, or a slice or scope requested from systemd.
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
