//! The container and pod of a memcg.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use super::{Driver, Fact, FactSource, Qos, Role, Runtime, cgroup_name::is_uuid};

/// The innermost container and pod around a memcg; serializes as the `container` object of the JSON output.
///
/// A pod's own cgroup has a `pod_uid` and no `id`; docker without Kubernetes has an `id` and no `pod_uid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Container {
    /// As the runtime calls it: 64 hex digits, the step of a build, the allocation of Nomad, or the name of an LXC container.
    pub id: Option<String>,
    /// The id of the container or sandbox that this cgroup stands beside: see [`Role::Monitor`] and [`Role::Overhead`]. What
    /// is told of that one (name, pod, labels) is told here, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_id: Option<String>,
    /// With dashes, as the API server writes it; a static pod has 32 hex digits and no dashes.
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
    /// First group of a UUID.
    const SHORT_UID: usize = 8;

    /// The id as the runtime's command line tools show it; see [`short_id`].
    pub fn short_id(&self) -> Option<&str> {
        self.id.as_deref().map(short_id)
    }

    /// What people call it: by name, else by what it is for, else by the short id. What stands beside a container says so.
    pub fn title(&self) -> Option<Cow<'_, str>> {
        let own = self.name.as_deref();
        let beside = |role: &str| {
            let of = own.or_else(|| self.of_id.as_deref().map(short_id));
            of.map_or_else(|| role.to_owned(), |of| format!("{role} of {of}")).into()
        };
        match self.role {
            Some(Role::Monitor) => Some(beside("monitor")),
            Some(Role::Overhead) => Some(beside("overhead")),
            Some(Role::Sandbox) => Some(own.unwrap_or("sandbox").into()),
            Some(Role::Workload) | None => own.or_else(|| self.short_id()).map(Cow::from),
        }
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

    /// No container, but something that a runtime keeps beside one.
    pub fn is_beside(&self) -> bool {
        matches!(self.role, Some(Role::Monitor | Role::Overhead))
    }

    /// This container, its outer container, and so on.
    pub fn and_outer(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |container| container.outer.as_deref())
    }
}

/// As `docker ps`, `crictl ps` and `nomad status` show an id: the first 12 hex digits, the first group of a UUID. A name stays
/// whole.
pub fn short_id(id: &str) -> &str {
    const HEX: usize = 12;
    if id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return id.get(..HEX).unwrap_or(id);
    }
    if is_uuid(id.as_bytes()) { id.get(..Container::SHORT_UID).unwrap_or(id) } else { id }
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
