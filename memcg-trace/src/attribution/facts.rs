//! Facts about containers from the node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Role, Runtime};

/// Facts from one source about one container or pod. Part of a recording, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub source: FactSource,
    /// The runtime's id of the container; `None`: the pod itself.
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

/// The source of a fact that is not in the path.
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
    /// Description for people.
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

/// The kinds of facts.
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
    /// No facts yet, from this source.
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

    /// The facts about the pod only, for its other cgroups.
    pub fn of_pod(&self) -> Option<Self> {
        self.pod.as_ref()?;
        let pod = Self::of(FactSource::Pod);
        let (pod_uid, name, namespace) = (self.pod_uid.clone(), self.pod.clone(), self.namespace.clone());
        Some(Self { pod_uid, pod: name, namespace, ..pod })
    }
}

display_as_serialized!(Fact, FactSource);
