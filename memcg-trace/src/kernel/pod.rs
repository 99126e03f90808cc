//! Running in a pod: what is missing there is granted by the pod's manifest.

use std::env;

/// Whether this process runs in a pod: kubelet sets this variable in each of its containers.
pub fn is_pod() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Lines of a container's manifest.
pub const CAPABILITIES: &str = "securityContext: {capabilities: {add: [BPF, PERFMON, IPC_LOCK]}}";
pub const SYS_ADMIN: &str = "securityContext: {capabilities: {add: [SYS_ADMIN, IPC_LOCK]}}";
pub const SYSLOG: &str = "securityContext: {capabilities: {add: [SYSLOG]}}";
pub const HOST_USERS: &str = "hostUsers: true";
pub const UNCONFINED: &str = "securityContext: {seccompProfile: {type: Unconfined}}";
pub const SPC_T: &str = "securityContext: {seLinuxOptions: {type: spc_t}}";
pub const CGROUP_MOUNT: &str =
    "volumes: [{name: cgroup, hostPath: {path: /sys/fs/cgroup}}], mounted at /sys/fs/cgroup";
pub const SYS_MOUNT: &str = "volumes: [{name: sys, hostPath: {path: /sys}}], mounted at /sys";
pub const HOST_RUN: &str = "volumes: [{name: run, hostPath: {path: /run}}], mounted at /host/run; \
                            env: [{name: MEMCG_TRACE_HOST_ROOT, value: /host}]";
