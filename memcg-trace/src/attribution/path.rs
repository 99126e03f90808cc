//! What a cgroup path alone says.
//!
//! Layouts are recognised component by component, not by patterns of whole paths: a custom `--cgroup-root`, a node that
//! is itself a container (kind, minikube, docker in docker) or a unit in front only add components that say nothing.

use super::{Container, Driver, Qos, Runtime};

/// The innermost container and pod of this path; a cgroup below a container belongs to it.
///
/// `None` where the path proves neither. Monitors (conmon, `lxc.monitor`) are not the workload: such a cgroup belongs to
/// the pod or outer container that it is in, if there is one.
pub fn container_of_path(path: &[u8]) -> Option<Container> {
    let mut found: Option<Container> = None;
    let mut parent: &[u8] = b"";
    // The root of the hierarchy, or of a container: the only places where LXC puts its directories.
    let mut in_root = true;

    for component in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b"..")) {
        if let Some(pod) = pod(component, parent) {
            found = Some(pod);
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

/// What a container's own component says.
struct Inner {
    id: String,
    runtime: Option<Runtime>,
    driver: Driver,
}

impl Inner {
    /// A container in a pod keeps the facts of the pod. A container in a container keeps the pod, whose cgroup it is
    /// in, but was made by somebody else.
    fn within(self, outer: Option<Container>) -> Container {
        let outer = outer.unwrap_or_default();
        let driver = if outer.id.is_none() { outer.driver.unwrap_or(self.driver) } else { self.driver };
        Container { id: Some(self.id), runtime: self.runtime, driver: Some(driver), ..outer }
    }
}

/// `pod<uid>` below kubepods or a QoS class, or `[…-]kubepods[-<qos>]-pod<uid>.slice`, where dashes of the UID turned
/// into underscores because a dash is a level of slices.
fn pod(component: &[u8], parent: &[u8]) -> Option<Container> {
    // kubelet asked for systemd's names and the runtime made a directory: `<slice>:<runtime>:<id>`.
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

/// A UUID, or the MD5 sum that kubelet gives a static pod. Other UIDs exist only in tests of kubelet.
fn pod_uid(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"_").unwrap_or(bytes);
    let groups: Vec<&[u8]> = bytes.split(|byte| matches!(byte, b'-' | b'_')).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let known = lengths == [32] || lengths == [8, 4, 4, 4, 12];
    let hex = groups.iter().all(|group| group.iter().all(u8::is_ascii_hexdigit));
    (known && hex).then(|| ascii(&groups.join(&b'-')))
}

/// The class that a directory or slice is named after; pods directly in kubepods are guaranteed.
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
fn container(component: &[u8], parent: &[u8]) -> Option<Inner> {
    if let Some(id) = container_id(component) {
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
    // An unknown word in front may be a monitor or another helper: the id would be right, the blame wrong.
    let runtime = Runtime::of(name[..cut].rsplit(|&byte| byte == b':').next()?)?;
    Some(Inner { id, runtime: Some(runtime), driver })
}

impl Runtime {
    /// The word that the runtime puts before an id. `libpod-payload` is podman inside of a unit (`--cgroups=split`).
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

/// One step of a build: 25 digits of base 36.
fn buildkit_id(bytes: &[u8]) -> Option<String> {
    let lower = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    (bytes.len() == 25 && bytes.iter().all(lower)).then(|| ascii(bytes))
}

/// `lxc.payload.<name>` (LXC 4); `lxc/<name>` and `lxc.payload/<name>` before.
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

/// Bytes that were checked to be ASCII.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
