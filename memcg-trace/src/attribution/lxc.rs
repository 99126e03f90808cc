//! The directories of LXC, and of those who build on it: LXD, Incus, Proxmox.
//!
//! LXC src/lxc/cgroups/cgfsng.c: `cgfsng_payload_create` and `cgfsng_monitor_create` for the names,
//! `cg_unified_get_current_cgroup` for where they are: root's below the root of the hierarchy, those of others below the unit
//! that was delegated to them. LXD and Incus have a container of a project be `<project>_<name>`. Proxmox sets the directories by
//! itself, `lxc/<number>` with all of the container in `ns` below it, and `lxc.monitor/<number>` (pve-container
//! src/PVE/LXC.pm, `lxc.cgroup.dir.*`).

use super::{
    Driver, Role, Runtime,
    cgroup_name::ascii,
    runtime_path::{Beside, Inner},
};

/// Where a component of a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LxcPlace {
    /// Below the root of the hierarchy, a container, or a service or scope: LXC may have put directories here.
    Base,
    /// Anywhere else; a directory that is called `lxc` is somebody's own.
    Elsewhere,
}

impl LxcPlace {
    /// The place below a component of this one.
    pub fn below(self, component: &[u8], is_container: bool) -> Self {
        let delegated = component.ends_with(b".service") || component.ends_with(b".scope");
        let of_lxc = matches!(component, b"lxc" | b"lxc.payload" | b"lxc.monitor" | b"ns");
        if is_container || delegated || self == Self::Base && of_lxc { Self::Base } else { Self::Elsewhere }
    }

    /// `lxc.payload.<name>` (LXC 4); `lxc/<name>` and `lxc.payload/<name>` before.
    pub fn container(self, component: &[u8], parent: &[u8]) -> Option<Inner> {
        let name = self.name(component, parent, b"lxc.payload.", &[b"lxc", b"lxc.payload"])?;
        let (runtime, driver) = (Some(Runtime::Lxc), Driver::Cgroupfs);
        Some(Inner { id: name.clone(), name: Some(name), runtime, driver, role: None })
    }

    /// `lxc.monitor.<name>` (LXC 4), `lxc.monitor/<name>` before.
    pub fn monitor(self, component: &[u8], parent: &[u8]) -> Option<Beside> {
        let name = self.name(component, parent, b"lxc.monitor.", &[b"lxc.monitor"])?;
        let (role, runtime) = (Role::Monitor, Runtime::Lxc);
        Some(Beside { role, runtime, of_id: Some(name.clone()), name: Some(name) })
    }

    fn name(self, component: &[u8], parent: &[u8], prefix: &[u8], above: &[&[u8]]) -> Option<String> {
        if self != Self::Base {
            return None;
        }
        let name = match component.strip_prefix(prefix) {
            Some(name) => name,
            None if above.contains(&parent) => component,
            None => return None,
        };
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // A name of dots would be a place of another, where it is made part of a path.
        let is_name = name.iter().all(allowed) && !matches!(name, b"" | b"." | b"..");
        is_name.then(|| ascii(name))
    }
}
