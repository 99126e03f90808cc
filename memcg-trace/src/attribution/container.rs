//! The container and pod of a memcg.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Driver, Fact, FactSource, Qos, Role, Runtime};

/// The innermost container and pod around a memcg; serializes as the `container` object of the JSON output.
///
/// A pod's own cgroup has a `pod_uid` and no `id`; docker without Kubernetes has an `id` and no `pod_uid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Container {
    /// The runtime's id: 64 hex digits, the step of a build, or the name of an LXC container.
    pub id: Option<String>,
    /// With dashes, as in the API; a static pod has 32 hex digits without dashes.
    pub pod_uid: Option<String>,
    pub runtime: Option<Runtime>,
    pub driver: Option<Driver>,
    pub pod: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub image: Option<String>,
    pub qos: Option<Qos>,
    /// How the container was recognised; other sources of facts are in `learned`.
    pub source: Source,
    /// The role of the cgroup; `None`: the path does not distinguish a workload from a sandbox.
    pub role: Option<Role>,
    /// The labels that identify the owner.
    pub labels: Option<BTreeMap<String, String>>,
    /// The facts that are not from the path, with the source of each.
    pub learned: Option<BTreeMap<Fact, FactSource>>,
    /// The outer container: docker in docker, a node of kind or minikube.
    pub outer: Option<Box<Container>>,
}

impl Container {
    /// Length of short ids in the runtimes' command line tools.
    const SHORT_ID: usize = 12;
    /// First group of a UUID.
    const SHORT_UID: usize = 8;

    /// The id as `docker ps` and `crictl ps` show it; a name that is not hex stays whole.
    pub fn short_id(&self) -> Option<&str> {
        let id = self.id.as_deref()?;
        let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(if hex { id.get(..Self::SHORT_ID).unwrap_or(id) } else { id })
    }

    /// Display name: the name, else the role, else the short id.
    pub fn title(&self) -> Option<&str> {
        let role = match self.role {
            Some(Role::Sandbox) => Some("sandbox"),
            Some(Role::Monitor) => Some("monitor"),
            Some(Role::Workload) | None => None,
        };
        self.name.as_deref().or(role).or_else(|| self.short_id())
    }

    /// Display name of its pod: the name, else the start of the UID.
    pub fn pod_title(&self) -> Option<&str> {
        self.pod.as_deref().or_else(|| self.short_pod_uid())
    }

    /// Start of the pod's UID, unique on the node.
    pub fn short_pod_uid(&self) -> Option<&str> {
        let uid = self.pod_uid.as_deref()?;
        Some(uid.get(..Self::SHORT_UID).unwrap_or(uid))
    }

    /// This container, its outer container, and so on.
    pub fn and_outer(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |container| container.outer.as_deref())
    }
}

/// The source of a [`Container`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Only the cgroup path.
    #[default]
    Path,
}

display_as_serialized!(Source);
