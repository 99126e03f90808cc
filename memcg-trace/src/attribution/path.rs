//! Parses the container and pod from a cgroup path.
//!
//! Layouts are recognised component by component, not by patterns of whole paths: a custom `--cgroup-root`, a node that
//! is itself a container (kind, minikube, docker in docker) or a leading unit only add components that are ignored.
//!
//! Each rule refers to the source code that creates such paths.

use super::{Container, Driver, Qos, Role, Runtime};

/// The innermost container and pod of this path; a cgroup below a container belongs to it.
///
/// `None` where the path proves neither. Monitors (conmon, `lxc.monitor`) are not the workload: such a cgroup has that
/// role and no container id, but the pod or outer container that it is in, if any.
pub fn container_of_path(path: &[u8]) -> Option<Container> {
    let mut found: Option<Container> = None;
    let mut parent: &[u8] = b"";
    // The root of the hierarchy or of a container: LXC creates its directories only there.
    let mut in_root = true;

    for component in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b"..")) {
        if let Some(pod) = pod(component, parent) {
            found = Some(inside(pod, found));
        }
        if let Some(runtime) = monitor(component, parent, in_root) {
            return Some(beside(runtime, found));
        }
        let lxc = if in_root { lxc(component, parent) } else { None };
        let inner = lxc.or_else(|| container(component, parent));
        in_root = inner.is_some() || in_root && matches!(component, b"lxc" | b"lxc.payload");
        if let Some(inner) = inner {
            found = Some(inner.within(found));
        }
        parent = component;
    }
    found
}

/// A container from its own component.
struct Inner {
    id: String,
    runtime: Option<Runtime>,
    driver: Driver,
}

impl Inner {
    /// A container in a pod keeps the facts of the pod. A container in a container keeps the pod, in whose cgroup it
    /// is, but has another creator.
    fn within(self, around: Option<Container>) -> Container {
        let around = around.unwrap_or_default();
        let Self { id, runtime, driver } = self;
        if around.id.is_none() {
            let driver = around.driver.or(Some(driver));
            return Container { id: Some(id), runtime, driver, ..around };
        }
        let (pod_uid, qos) = (around.pod_uid.clone(), around.qos);
        let (driver, outer) = (Some(driver), Some(Box::new(around)));
        Container { id: Some(id), runtime, driver, pod_uid, qos, outer, ..Container::default() }
    }
}

/// A pod in a container, which is a node of kind or minikube.
fn inside(pod: Container, around: Option<Container>) -> Container {
    Container { outer: around.filter(|around| around.id.is_some()).map(Box::new), ..pod }
}

/// A monitor in a pod, in a container, or on the node itself.
fn beside(runtime: Runtime, around: Option<Container>) -> Container {
    let around = around.unwrap_or_default();
    let in_container = around.id.is_some();
    let (pod_uid, driver, qos) =
        (around.pod_uid.clone(), around.driver.filter(|_| !in_container), around.qos);
    let outer = if in_container { Some(Box::new(around)) } else { around.outer };
    let (runtime, role) = (Some(runtime), Some(Role::Monitor));
    Container { runtime, role, driver, pod_uid, qos, outer, ..Container::default() }
}

/// `pod<uid>` below kubepods or a QoS class, or `[…-]kubepods[-<qos>]-pod<uid>.slice`, where the UID has underscores,
/// because a dash would be a level of slices.
///
/// kubernetes pkg/kubelet/cm: `podCgroupNamePrefix` (helpers_linux.go), `CgroupName.ToSystemd` and `ToCgroupfs`
/// (cgroup_manager_linux.go); runc libcontainer/cgroups/systemd `ExpandSlice` creates the directories of a slice.
fn pod(component: &[u8], parent: &[u8]) -> Option<Container> {
    // kubelet requested systemd's names, but the runtime created a directory: `<slice>:<runtime>:<id>`.
    let component = component.split(|&byte| byte == b':').next()?;
    let (class, name, driver) = match component.strip_suffix(b".slice") {
        Some(slice) => {
            let dash = slice.iter().rposition(|&byte| byte == b'-')?;
            (&slice[..dash], &slice[dash + 1..], Driver::Systemd)
        }
        None => (parent, component, Driver::Cgroupfs),
    };
    let uid = pod_uid(name.strip_prefix(b"pod")?)?;
    Some(Container { pod_uid: Some(uid), driver: Some(driver), qos: qos(class), ..Container::default() })
}

/// A UUID (apimachinery pkg/util/uuid), or the MD5 sum that kubelet gives a static pod (pkg/kubelet/config/common.go,
/// `applyDefaults`). Other UIDs exist only in tests of kubelet.
fn pod_uid(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"_").unwrap_or(bytes);
    let groups: Vec<&[u8]> = bytes.split(|byte| matches!(byte, b'-' | b'_')).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let known = lengths == [32] || lengths == [8, 4, 4, 4, 12];
    let hex = groups.iter().all(|group| group.iter().all(u8::is_ascii_hexdigit));
    (known && hex).then(|| ascii(&groups.join(&b'-')))
}

/// The class that a directory or slice is named after; pods directly in kubepods are guaranteed (kubernetes
/// pkg/kubelet/cm/qos_container_manager_linux.go).
fn qos(class: &[u8]) -> Option<Qos> {
    let last = class.rsplit(|&byte| byte == b'-').next()?;
    match last.to_ascii_lowercase().as_slice() {
        b"besteffort" => Some(Qos::BestEffort),
        b"burstable" => Some(Qos::Burstable),
        b"kubepods" => Some(Qos::Guaranteed),
        _ => None,
    }
}

/// `<id>`, `<runtime>-<id>`, `<runtime>-<id>.scope`, `<slice>:<runtime>:<id>`, or a step of BuildKit.
///
/// The bare id, and what runc makes of `<slice>:<prefix>:<id>`: moby daemon/oci_linux.go `withCgroups`; containerd
/// internal/cri/server/podsandbox/helpers.go `getCgroupsPath`; CRI-O internal/config/cgmgr `ContainerCgroupPath`; podman
/// libpod/container_internal_linux.go `getOCICgroupPath`; runc libcontainer/cgroups/systemd `getUnitName`.
fn container(component: &[u8], parent: &[u8]) -> Option<Inner> {
    // A directory of podman's with a bare id is one of its own pods (libpod/runtime_pod_linux.go).
    if let Some(id) = container_id(component).filter(|_| parent != b"libpod_parent") {
        let runtime = (parent == b"docker").then_some(Runtime::Docker);
        return Some(Inner { id, runtime, driver: Driver::Cgroupfs });
    }
    if parent == b"buildkit" {
        let id = buildkit_id(component)?;
        return Some(Inner { id, runtime: Some(Runtime::BuildKit), driver: Driver::Cgroupfs });
    }
    let (name, driver) = match component.strip_suffix(b".scope") {
        Some(name) => (name, Driver::Systemd),
        None => (component, Driver::Cgroupfs),
    };
    let cut = name.iter().rposition(|&byte| matches!(byte, b'-' | b':'))?;
    let id = container_id(&name[cut + 1..])?;
    // An unknown prefix may be that of a monitor or another process: the id would be right, but the attribution wrong.
    let runtime = Runtime::of(name[..cut].rsplit(|&byte| byte == b':').next()?)?;
    Some(Inner { id, runtime: Some(runtime), driver })
}

impl Runtime {
    /// The prefix that a runtime puts before an id. `libpod-payload` is podman inside a unit (`--cgroups=split`).
    /// `nerdctl` is used with nerdctl's `--cgroup-manager=systemd` (pkg/cmd/container/run_cgroup_linux.go).
    fn of(word: &[u8]) -> Option<Self> {
        match word {
            b"docker" => Some(Self::Docker),
            b"cri-containerd" | b"nerdctl" => Some(Self::Containerd),
            b"crio" => Some(Self::CriO),
            b"libpod" | b"libpod-payload" => Some(Self::Podman),
            _ => None,
        }
    }
}

/// The form that docker, containerd's CRI plugin, CRI-O and podman share.
fn container_id(bytes: &[u8]) -> Option<String> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (bytes.len() == 64 && bytes.iter().all(lower)).then(|| ascii(bytes))
}

/// One step of a build: 25 digits of base 36 (moby/buildkit identity/randomid.go), in a directory that
/// executor/oci/spec_linux.go names.
fn buildkit_id(bytes: &[u8]) -> Option<String> {
    let lower = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    (bytes.len() == 25 && bytes.iter().all(lower)).then(|| ascii(bytes))
}

/// `libpod-conmon-<id>` and `crio-conmon-<id>`, as scope or directory; podman's `conmon` with cgroupfs;
/// `lxc.monitor.<name>`. The shims of containerd have no cgroup of their own, but stay in the
/// one of the service.
///
/// podman libpod/oci_conmon_linux.go `moveConmonToCgroupAndSignal`; CRI-O internal/config/cgmgr `MoveConmonToCgroup`; LXC
/// src/lxc/cgroups/cgfsng.c `cgfsng_monitor_create`.
fn monitor(component: &[u8], parent: &[u8], in_root: bool) -> Option<Runtime> {
    if component.strip_prefix(b"lxc.monitor.").is_some_and(|name| !name.is_empty()) {
        return in_root.then_some(Runtime::Lxc);
    }
    if component == b"conmon" && parent == b"libpod_parent" {
        return Some(Runtime::Podman);
    }
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let (runtime, id) = match (name.strip_prefix(b"libpod-conmon-"), name.strip_prefix(b"crio-conmon-")) {
        (Some(id), _) => (Runtime::Podman, id),
        (_, Some(id)) => (Runtime::CriO, id),
        (None, None) => return None,
    };
    container_id(id).map(|_| runtime)
}

/// `lxc.payload.<name>` (LXC 4); `lxc/<name>` and `lxc.payload/<name>` before: src/lxc/cgroups/cgfsng.c
/// `cgfsng_payload_create`.
fn lxc(component: &[u8], parent: &[u8]) -> Option<Inner> {
    let name = match component.strip_prefix(b"lxc.payload.") {
        Some(name) => name,
        None if matches!(parent, b"lxc" | b"lxc.payload") => component,
        None => return None,
    };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!name.is_empty() && name.iter().all(allowed)).then(|| Inner {
        id: ascii(name),
        runtime: Some(Runtime::Lxc),
        driver: Driver::Cgroupfs,
    })
}

/// Converts bytes that were checked to be ASCII.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
