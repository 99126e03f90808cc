//! What kubelet does to make a pod: the calls of the Container Runtime Interface, on containerd's socket.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use memcg_trace::source::names::grpc::{Call, unary};
use prost::Message;
use tokio::net::UnixStream;

use super::node::IMAGE;

/// As kubelet describes one.
pub struct Pod<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub uid: &'a str,
    pub cgroup: &'a str,
}

pub struct Cri {
    socket: PathBuf,
    tokio: tokio::runtime::Runtime,
}

impl Cri {
    pub fn connect(socket: &Path) -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { socket: socket.to_owned(), tokio: tokio.expect("a tokio runtime") }
    }

    fn call<T: Message + Default>(&self, path: &'static str, request: &impl Message) -> T {
        let call = Call { path, namespace: None, message: request.encode_to_vec() };
        let answer = self.tokio.block_on(async {
            let stream = UnixStream::connect(&self.socket).await.expect("containerd's socket");
            unary(stream, call).await
        });
        // Without a message, containerd's log says why; an empty one is an answer.
        let message = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        T::decode(message.unwrap_or_else(|| panic!("{path} failed"))).expect("an answer of this type")
    }

    /// The id of the sandbox.
    pub fn run_sandbox(&self, pod: &Pod<'_>) -> String {
        let request = RunPodSandboxRequest { config: Some(pod.config()) };
        self.call::<Id>("/runtime.v1.RuntimeService/RunPodSandbox", &request).id
    }

    /// The id of the container, which runs.
    pub fn run_container(&self, sandbox: &str, pod: &Pod<'_>, name: &str, script: &[String]) -> String {
        let outlives = self.socket.ancestors().nth(3).expect("the node's root").join("outlives");
        let labels = [("io.kubernetes.container.name", name)];
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned() }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            command: script.to_vec(),
            mounts: vec![Mount {
                container_path: "/outlives".to_owned(),
                host_path: outlives.to_string_lossy().into_owned(),
            }],
            labels: map(&[&labels[..], &pod.labels()].concat()),
            linux: Some(LinuxContainerConfig {
                security: Some(ContainerSecurityContext { namespaces: Some(host_network()) }),
            }),
        };
        let request = CreateContainerRequest {
            sandbox: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(pod.config()),
        };
        let created: Id = self.call("/runtime.v1.RuntimeService/CreateContainer", &request);
        self.call::<()>("/runtime.v1.RuntimeService/StartContainer", &created);
        created.id
    }

    pub fn remove_container(&self, id: &str) {
        self.call::<()>("/runtime.v1.RuntimeService/RemoveContainer", &Id { id: id.to_owned() });
    }

    pub fn remove_sandbox(&self, id: &str) {
        let id = Id { id: id.to_owned() };
        self.call::<()>("/runtime.v1.RuntimeService/StopPodSandbox", &id);
        self.call::<()>("/runtime.v1.RuntimeService/RemovePodSandbox", &id);
    }
}

impl Pod<'_> {
    fn labels(&self) -> [(&str, &str); 3] {
        [
            ("io.kubernetes.pod.name", self.name),
            ("io.kubernetes.pod.namespace", self.namespace),
            ("io.kubernetes.pod.uid", self.uid),
        ]
    }

    fn config(&self) -> PodSandboxConfig {
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.to_owned(),
                uid: self.uid.to_owned(),
                namespace: self.namespace.to_owned(),
            }),
            labels: map(&self.labels()),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup.to_owned(),
                security: Some(SandboxSecurityContext { namespaces: Some(host_network()) }),
            }),
        }
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// No CNI is needed then.
fn host_network() -> NamespaceOption {
    const CONTAINER: i32 = 1;
    const NODE: i32 = 2;
    NamespaceOption { network: NODE, pid: CONTAINER }
}

// Of cri-api pkg/apis/runtime/v1/api.proto, the fields that are set. Requests and answers that are but an id have it first.

#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(btree_map = "string, string", tag = "6")]
    labels: BTreeMap<String, String>,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxPodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxPodSandboxConfig {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security: Option<SandboxSecurityContext>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxSecurityContext {
    #[prost(message, optional, tag = "1")]
    namespaces: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
    #[prost(int32, tag = "2")]
    pid: i32,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    sandbox: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    mounts: Vec<Mount>,
    #[prost(btree_map = "string, string", tag = "9")]
    labels: BTreeMap<String, String>,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainerConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct Mount {
    #[prost(string, tag = "1")]
    container_path: String,
    #[prost(string, tag = "2")]
    host_path: String,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxContainerConfig {
    #[prost(message, optional, tag = "2")]
    security: Option<ContainerSecurityContext>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerSecurityContext {
    #[prost(message, optional, tag = "3")]
    namespaces: Option<NamespaceOption>,
}
