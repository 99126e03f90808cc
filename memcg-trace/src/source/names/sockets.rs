//! The sockets of the runtimes: queried if files did not have the facts, with a timeout, and not again for a while
//! after a failure. Only the runtime that is known to have the container is queried: otherwise systemd would start
//! others by socket activation.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use prost::Message;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::{Builder, Runtime as Tokio},
};

use super::{
    docker,
    grpc::{self, Call, GrpcError},
    kubernetes::{take_labels, text},
    node_root::{Root, by_handle},
};
use crate::{
    attribution::{FactSource, Facts, Role, Runtime},
    streams::say,
};

/// Timeout of one query, from connect to the last byte.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time before a failed socket is used again.
const RESPITE: Duration = Duration::from_secs(60);
/// Maximum length of an answer.
const ANSWER_MAX: u64 = 4 << 20;

const DOCKER: &str = "/run/docker.sock";
/// kubelet's `--container-runtime-endpoint` of the usual distributions. Not cri-dockerd: systemd would start it on
/// connect, and its containers are docker's.
const CRI: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// State of the sockets.
#[derive(Default)]
pub struct Sockets {
    /// `None` until the first query.
    tokio: Option<Tokio>,
    failed: HashMap<String, Instant>,
    told: HashSet<String>,
}

/// The reason why a socket gave no answer.
#[derive(Debug, Error)]
enum SocketError {
    #[error("no answer within {PATIENCE:?}")]
    Silent,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it does not speak gRPC: {0}")]
    Grpc(#[from] GrpcError),
    #[error("its answer cannot be parsed")]
    Garbage,
}

impl Sockets {
    /// `ContainerStatus` of the Container Runtime Interface.
    pub fn cri(&mut self, root: &Root, id: &str) -> Option<Facts> {
        CRI.iter().find_map(|socket| {
            let request = ContainerStatusRequest { container_id: id.to_owned() };
            let path = "/runtime.v1.RuntimeService/ContainerStatus";
            let call = Call { path, namespace: None, message: request.encode_to_vec() };
            let answer = self.ask(root, socket, |stream| async {
                let message = grpc::unary(stream, call).await?;
                Ok(message.map(ContainerStatusResponse::decode))
            })?;
            let status = answer?.status?;
            let mut facts = Facts { id: Some(id.to_owned()), ..Facts::of(FactSource::Cri) };
            take_labels(&mut facts, &status.labels);
            facts.name = status.metadata.and_then(|metadata| text(&metadata.name)).or(facts.name);
            facts.image = status.image.and_then(|image| text(&image.image));
            facts.role = Some(Role::Workload);
            Some(facts)
        })
    }

    /// `Containers.Get` of containerd, which knows the image of every container.
    pub fn containerd(&mut self, root: &Root, socket: &str, namespace: &str, id: &str) -> Option<Facts> {
        let path = "/containerd.services.containers.v1.Containers/Get";
        let message = GetContainerRequest { id: id.to_owned() }.encode_to_vec();
        let call = Call { path, namespace: Some(namespace.to_owned()), message };
        let answer = self.ask(root, socket, |stream| async {
            let message = grpc::unary(stream, call).await?;
            Ok(message.map(GetContainerResponse::decode))
        })?;
        let container = answer?.container?;
        let runtime = Some(Runtime::Containerd);
        let mut facts = Facts { id: Some(id.to_owned()), runtime, ..Facts::of(FactSource::ContainerdApi) };
        take_labels(&mut facts, &container.labels);
        facts.name = facts.name.or_else(|| text(container.labels.get("nerdctl/name")?));
        facts.image = text(&container.image);
        Some(facts)
    }

    /// `GET /containers/ID/json` of the Docker Engine API.
    pub fn docker(&mut self, root: &Root, id: &str) -> Option<Facts> {
        // HTTP/1.0: the connection is closed after the answer.
        let request = format!("GET /containers/{id}/json HTTP/1.0\r\nHost: docker\r\n\r\n");
        self.ask(root, DOCKER, |mut stream| async move {
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
            let status = answer.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
            match (answer.starts_with(b"HTTP/1."), status, end) {
                (true, b"200", Some(end)) => {
                    let facts = docker::inspected(&answer[end + 4..], id, FactSource::DockerApi);
                    facts.map(|facts| Some(Ok(facts))).ok_or(SocketError::Garbage)
                }
                (true, _, Some(_)) => Ok(None),
                _ => Err(SocketError::Garbage),
            }
        })?
    }

    /// `None`: the socket does not exist, failed, or does not know the container.
    fn ask<T, F>(
        &mut self,
        root: &Root,
        socket: &str,
        question: impl FnOnce(UnixStream) -> F,
    ) -> Option<Option<T>>
    where
        F: Future<Output = Result<Option<Result<T, prost::DecodeError>>, SocketError>>,
    {
        if self.failed.get(socket).is_some_and(|failed| failed.elapsed() < RESPITE) {
            return None;
        }
        let handle = root.socket(Path::new(socket)).ok()?;
        let tokio = match &self.tokio {
            Some(tokio) => tokio,
            None => self.tokio.insert(Builder::new_current_thread().enable_all().build().ok()?),
        };
        let answer = tokio.block_on(async {
            let asked = tokio::time::timeout(PATIENCE, async {
                question(UnixStream::connect(by_handle(&handle)).await?).await
            });
            match asked.await.unwrap_or(Err(SocketError::Silent))? {
                None => Ok(None),
                Some(decoded) => decoded.map(Some).map_err(|_| SocketError::Garbage),
            }
        });
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.failed.insert(socket.to_owned(), Instant::now());
                if self.told.insert(socket.to_owned()) {
                    say(&format!(
                        "cannot query {socket} for names: {error}; retrying in {RESPITE:?}, and files are still read"
                    ));
                }
                None
            }
        }
    }
}

// Of cri-api pkg/apis/runtime/v1/api.proto and containerd api/services/containers/v1/containers.proto, the fields that
// are read.

#[derive(Clone, PartialEq, Message)]
struct ContainerStatusRequest {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatus {
    #[prost(message, optional, tag = "2")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "8")]
    image: Option<ImageSpec>,
    #[prost(btree_map = "string, string", tag = "12")]
    labels: BTreeMap<String, String>,
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
struct GetContainerRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetContainerResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<ContainerdContainer>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerdContainer {
    #[prost(btree_map = "string, string", tag = "2")]
    labels: BTreeMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
}
