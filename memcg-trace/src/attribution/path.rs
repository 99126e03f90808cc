//! Parses the container and pod from a cgroup path.
//!
//! Layouts are recognised component by component, not by patterns of whole paths: a custom `--cgroup-root`, a node that
//! is itself a container (kind, minikube, docker in docker) or a leading unit only add components that are ignored.
//!
//! Each rule refers to the source code that creates such paths.

use super::{
    Container, Driver, Qos,
    cgroup_name::{ascii, is_uuid},
    lxc,
    runtime_path::{Beside, Inner, beside, container},
};

/// The innermost container and pod of this path; a cgroup below a container belongs to it.
///
/// `None` where the path proves neither. What stands beside a container (conmon, `lxc.monitor`, the overhead of kata) is not
/// the workload: it has a role and no id of its own, names the workload, and keeps the pod or outer container that it is in.
pub fn container_of_path(path: &[u8]) -> Option<Container> {
    let mut found: Option<Container> = None;
    let mut parent: &[u8] = b"";
    let mut place = lxc::LxcPlace::Base;

    for component in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b"..")) {
        if let Some(pod) = pod(component, parent) {
            found = Some(inside(pod, found));
        }
        if let Some(aside) = place.monitor(component, parent).or_else(|| beside(component, parent)) {
            return Some(aside.within(found));
        }
        let inner = place.container(component, parent).or_else(|| container(component, parent));
        place = place.below(component, inner.is_some());
        if let Some(inner) = inner {
            found = Some(inner.within(found));
        }
        parent = component;
    }
    found
}

impl Inner {
    /// A container in a pod keeps the facts of the pod. A container in a container keeps the pod, in whose cgroup it
    /// is, but has another creator.
    fn within(self, around: Option<Container>) -> Container {
        let around = around.unwrap_or_default();
        let Self { id, name, runtime, driver, role } = self;
        if around.id.is_none() {
            let driver = around.driver.or(Some(driver));
            return Container { id: Some(id), name, runtime, driver, role, ..around };
        }
        let (pod_uid, qos) = (around.pod_uid.clone(), around.qos);
        let (driver, outer) = (Some(driver), Some(Box::new(around)));
        Container { id: Some(id), name, runtime, driver, role, pod_uid, qos, outer, ..Container::default() }
    }
}

/// A pod in a container, which is a node of kind or minikube.
fn inside(pod: Container, around: Option<Container>) -> Container {
    Container { outer: around.filter(|around| around.id.is_some()).map(Box::new), ..pod }
}

impl Beside {
    /// In a pod, in a container, or on the node itself.
    fn within(self, around: Option<Container>) -> Container {
        let around = around.unwrap_or_default();
        let in_container = around.id.is_some();
        let (pod_uid, driver, qos) =
            (around.pod_uid.clone(), around.driver.filter(|_| !in_container), around.qos);
        let outer = if in_container { Some(Box::new(around)) } else { around.outer };
        let Self { role, runtime, of_id, name } = self;
        let (runtime, role) = (Some(runtime), Some(role));
        Container { runtime, role, of_id, name, driver, pod_uid, qos, outer, ..Container::default() }
    }
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
    let dashed: Vec<u8> = bytes.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
    let md5 = dashed.len() == 32 && dashed.iter().all(u8::is_ascii_hexdigit);
    (md5 || is_uuid(&dashed)).then(|| ascii(&dashed))
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

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
