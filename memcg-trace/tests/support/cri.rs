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

/// Our DaemonSet's container.
pub struct Daemon<'a> {
    pub command: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
    /// All that it has, as a manifest names them: `BPF`.
    pub capabilities: Vec<String>,
    /// On the node, and in the container.
    pub mounts: &'a [(&'a str, &'a str)],
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
        let config = ContainerConfig {
            command: script.to_vec(),
            mounts: vec![Mount {
                container_path: "/outlives".to_owned(),
                host_path: outlives.to_string_lossy().into_owned(),
                readonly: false,
            }],
            ..pod.container(name)
        };
        self.start(sandbox, pod, config)
    }

    /// The same, with a security context as that of our DaemonSet, and its limit of memory.
    pub fn run_daemon(&self, sandbox: &str, pod: &Pod<'_>, daemon: &Daemon<'_>) -> String {
        let mounts = daemon.mounts.iter().map(|(host, container)| Mount {
            container_path: (*container).to_owned(),
            host_path: (*host).to_owned(),
            readonly: true,
        });
        let capabilities = Capability { add: daemon.capabilities.clone(), drop: vec!["ALL".to_owned()] };
        let config = ContainerConfig {
            command: daemon.command.iter().map(|word| (*word).to_owned()).collect(),
            env: daemon.env.iter().map(|&pair| pair.into()).collect(),
            mounts: mounts.collect(),
            linux: Some(LinuxContainerConfig {
                resources: Some(LinuxContainerResources { memory_limit_in_bytes: 256 << 20 }),
                security: Some(ContainerSecurityContext {
                    capabilities: Some(capabilities),
                    namespaces: Some(host_network()),
                    readonly_rootfs: true,
                    no_new_privs: true,
                    seccomp: Some(SecurityProfile { profile_type: SecurityProfile::RUNTIME_DEFAULT }),
                }),
            }),
            ..pod.container("memcg-trace")
        };
        self.start(sandbox, pod, config)
    }

    fn start(&self, sandbox: &str, pod: &Pod<'_>, config: ContainerConfig) -> String {
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

    fn container(&self, name: &str) -> ContainerConfig {
        let labels = [("io.kubernetes.container.name", name)];
        let security = ContainerSecurityContext {
            namespaces: Some(host_network()),
            ..ContainerSecurityContext::default()
        };
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned() }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            labels: map(&[&labels[..], &self.labels()].concat()),
            linux: Some(LinuxContainerConfig { resources: None, security: Some(security) }),
            ..ContainerConfig::default()
        }
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
    #[prost(message, repeated, tag = "6")]
    env: Vec<KeyValue>,
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
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl From<(&str, &str)> for KeyValue {
    fn from((key, value): (&str, &str)) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }
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
    #[prost(bool, tag = "3")]
    readonly: bool,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxContainerConfig {
    #[prost(message, optional, tag = "1")]
    resources: Option<LinuxContainerResources>,
    #[prost(message, optional, tag = "2")]
    security: Option<ContainerSecurityContext>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxContainerResources {
    #[prost(int64, tag = "4")]
    memory_limit_in_bytes: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerSecurityContext {
    #[prost(message, optional, tag = "1")]
    capabilities: Option<Capability>,
    #[prost(message, optional, tag = "3")]
    namespaces: Option<NamespaceOption>,
    #[prost(bool, tag = "7")]
    readonly_rootfs: bool,
    #[prost(bool, tag = "11")]
    no_new_privs: bool,
    /// Absent: none.
    #[prost(message, optional, tag = "15")]
    seccomp: Option<SecurityProfile>,
}

#[derive(Clone, PartialEq, Message)]
struct Capability {
    #[prost(string, repeated, tag = "1")]
    add: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    drop: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct SecurityProfile {
    #[prost(int32, tag = "1")]
    profile_type: i32,
}

impl SecurityProfile {
    const RUNTIME_DEFAULT: i32 = 0;
}
