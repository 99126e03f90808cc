//! What a single component of a cgroup path says of a container, and of what runtimes put beside it.
//!
//! Each rule names the source code that makes such paths.

use super::{
    Driver, Role, Runtime,
    cgroup_name::{ascii, container_id, is_uuid},
};

/// A container, by its own component.
pub struct Inner {
    pub id: String,
    /// Where the path has a better one than the id.
    pub name: Option<String>,
    pub runtime: Option<Runtime>,
    pub driver: Driver,
    pub role: Option<Role>,
}

/// A cgroup that a runtime keeps beside a container.
pub struct Beside {
    pub role: Role,
    pub runtime: Runtime,
    /// The container's id; `None`: one for all of them.
    pub of_id: Option<String>,
    /// The container's name, where the path has one.
    pub name: Option<String>,
}

/// `<id>`, `<runtime>-<id>`, `<runtime>-<id>.scope`, `<slice>:<runtime>:<id>`, `kata_<id>`, a step of BuildKit, or a task of
/// Nomad.
///
/// The bare id, and what runc makes of `<slice>:<prefix>:<id>`: moby daemon/oci_linux.go `withCgroups`; containerd
/// internal/cri/server/podsandbox/helpers.go `getCgroupsPath`; CRI-O internal/config/cgmgr `ContainerCgroupPath`; podman
/// libpod/container_internal_linux.go `getOCICgroupPath`; runc libcontainer/cgroups/systemd `getUnitName`.
pub fn container(component: &[u8], parent: &[u8]) -> Option<Inner> {
    let made = |id: String, runtime: Option<Runtime>, driver| {
        Some(Inner { id, name: None, runtime, driver, role: None })
    };
    // A directory of podman's with a bare id is one of its own pods (libpod/runtime_pod_linux.go).
    if let Some(id) = container_id(component).filter(|_| parent != b"libpod_parent") {
        return made(id, (parent == b"docker").then_some(Runtime::Docker), Driver::Cgroupfs);
    }
    // kata virtcontainers/pkg/resourcecontroller `RenameCgroupPath`: all of the machine, and so of the pod.
    if let Some(id) = component.strip_prefix(b"kata_").and_then(container_id) {
        let (runtime, role, driver) = (Some(Runtime::Kata), Some(Role::Sandbox), Driver::Cgroupfs);
        return Some(Inner { id, name: None, runtime, driver, role });
    }
    if parent == b"buildkit" {
        return made(buildkit_id(component)?, Some(Runtime::BuildKit), Driver::Cgroupfs);
    }
    let (name, driver) = match component.strip_suffix(b".scope") {
        Some(name) => (name, Driver::Systemd),
        None => (component, Driver::Cgroupfs),
    };
    if let Some((id, task)) = nomad_task(name, parent) {
        return Some(Inner { id, name: Some(task), runtime: Some(Runtime::Nomad), driver, role: None });
    }
    let cut = name.iter().rposition(|&byte| matches!(byte, b'-' | b':'))?;
    let (word, id) = (name[..cut].rsplit(|&byte| byte == b':').next()?, &name[cut + 1..]);
    // With systemd, dockerd has BuildKit name its scopes after docker (moby daemon/internal/builder-next/executor_linux.go).
    if matches!(word, b"docker" | b"buildkit")
        && let Some(id) = buildkit_id(id)
    {
        return made(id, Some(Runtime::BuildKit), driver);
    }
    let id = container_id(id)?;
    // An unknown word in front may be a monitor or something else beside it: the id would be right, the blame wrong.
    made(id, Some(Runtime::of(word)?), driver)
}

impl Runtime {
    /// The word that the runtime puts before an id. `libpod-payload` is podman inside of a unit (`--cgroups=split`).
    /// `nerdctl` is that of nerdctl's `--cgroup-manager=systemd` (pkg/cmd/container/run_cgroup_linux.go).
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

/// One step of a build: 25 digits of base 36 (moby/buildkit identity/randomid.go), in a directory or scope that
/// executor/oci/spec_linux.go names.
fn buildkit_id(bytes: &[u8]) -> Option<String> {
    let lower = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    (bytes.len() == 25 && bytes.iter().all(lower)).then(|| ascii(bytes))
}

/// `<allocation>.<task>`, in one of the groups for tasks that share cores and that have their own (hashicorp/nomad
/// client/lib/cgroupslib/partition.go and mount.go, `NomadCgroupParent`, `ScopeCG2`).
fn nomad_task(name: &[u8], parent: &[u8]) -> Option<(String, String)> {
    const UUID: usize = 36;
    let group = parent.strip_suffix(b".slice").unwrap_or(parent);
    let (allocation, task) = name.split_at_checked(UUID)?;
    let task = str::from_utf8(task.strip_prefix(b".")?).ok().filter(|task| !task.is_empty())?;
    let nomad = matches!(group, b"nomad" | b"share" | b"reserve") && is_uuid(allocation);
    nomad.then(|| (ascii(allocation), task.to_owned()))
}

/// - `libpod-conmon-<id>` and `crio-conmon-<id>`, as scope or directory; podman's `conmon`, one for all, with cgroupfs: podman
///   libpod/oci_conmon_linux.go `moveConmonToCgroupAndSignal`; CRI-O internal/config/cgmgr `MoveConmonToCgroup`. The shims of
///   containerd have no cgroup of their own, but stay in the one of the service.
/// - `kata_overhead/<id>`, and `kata-overhead.slice/<word>-<id>.scope`: kata virtcontainers/sandbox.go
///   `resCtrlKataOverheadID`; runtime-rs crates/resource/src/cgroups.
pub fn beside(component: &[u8], parent: &[u8]) -> Option<Beside> {
    let of = |role, runtime, of_id| Some(Beside { role, runtime, of_id, name: None });
    if component == b"conmon" && parent == b"libpod_parent" {
        return of(Role::Monitor, Runtime::Podman, None);
    }
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let last = |name: &[u8]| name.rsplit(|&byte| byte == b'-').next().and_then(container_id);
    match (name.strip_prefix(b"libpod-conmon-"), name.strip_prefix(b"crio-conmon-"), parent) {
        (Some(id), ..) => of(Role::Monitor, Runtime::Podman, Some(container_id(id)?)),
        (_, Some(id), _) => of(Role::Monitor, Runtime::CriO, Some(container_id(id)?)),
        (.., b"kata_overhead" | b"kata-overhead.slice") => {
            of(Role::Overhead, Runtime::Kata, Some(last(name)?))
        }
        _ => None,
    }
}
