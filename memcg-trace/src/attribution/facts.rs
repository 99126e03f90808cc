//! What the node told about a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Role, Runtime};

/// What one source says about one container or pod. Part of a recording, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub source: FactSource,
    /// The container that this is about, as its runtime calls it; `None`: the pod itself.
    pub id: Option<String>,
    pub pod_uid: Option<String>,
    pub runtime: Option<Runtime>,
    pub pod: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub image: Option<String>,
    pub role: Option<Role>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// How a fact is known that the path does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactSource {
    /// The annotations in the OCI bundle's config.json.
    Bundle,
    /// Docker's config.v2.json of the container.
    DockerConfig,
    /// The containers.json of podman's and CRI-O's storage.
    ContainersStorage,
    /// The state.json of runc.
    RuncState,
    /// Kubelet's directories: the names of logs, a volume of the pod.
    Kubelet,
    /// ContainerStatus of the Container Runtime Interface.
    Cri,
    /// containerd's own API.
    ContainerdApi,
    /// The Docker Engine API.
    DockerApi,
    /// Another container of the same pod.
    Pod,
}

impl FactSource {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Bundle => "the OCI bundle",
            Self::DockerConfig => "docker's config.v2.json",
            Self::ContainersStorage => "containers/storage",
            Self::RuncState => "runc's state.json",
            Self::Kubelet => "kubelet's directories",
            Self::Cri => "the CRI socket",
            Self::ContainerdApi => "containerd's socket",
            Self::DockerApi => "docker's socket",
            Self::Pod => "another container of the pod",
        }
    }
}

/// The facts that a source may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Id,
    PodUid,
    Runtime,
    Pod,
    Namespace,
    Name,
    Image,
    Role,
    Labels,
}

impl Facts {
    /// Nothing yet, from this source.
    pub fn of(source: FactSource) -> Self {
        Self {
            source,
            id: None,
            pod_uid: None,
            runtime: None,
            pod: None,
            namespace: None,
            name: None,
            image: None,
            role: None,
            labels: BTreeMap::new(),
        }
    }

    /// What these say about the pod alone, for the other cgroups of it.
    pub fn of_pod(&self) -> Option<Self> {
        self.pod.as_ref()?;
        let pod = Self::of(FactSource::Pod);
        let (pod_uid, name, namespace) = (self.pod_uid.clone(), self.pod.clone(), self.namespace.clone());
        Some(Self { pod_uid, pod: name, namespace, ..pod })
    }
}

display_as_serialized!(Fact, FactSource);
