//! The sockets of the runtimes: queried if files did not have the facts, with a timeout, and not again for a while
//! after a failure. Only the runtime that is known to have the container is queried: otherwise systemd would start
//! others by socket activation.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::{Builder, Runtime as Tokio},
};

use super::{
    answers::{self, Unparsable},
    grpc::{self, Call, GrpcError},
    node_root::{Root, by_handle},
};
use crate::{attribution::Facts, streams::say};

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
    #[error(transparent)]
    Garbage(#[from] Unparsable),
}

impl Sockets {
    /// `ContainerStatus` of the Container Runtime Interface.
    pub fn cri(&mut self, root: &Root, id: &str) -> Option<Facts> {
        CRI.iter().find_map(|socket| {
            let path = "/runtime.v1.RuntimeService/ContainerStatus";
            let call = Call { path, namespace: None, message: answers::cri_request(id) };
            self.ask(root, socket, |stream| async {
                let message = grpc::unary(stream, call).await?;
                Ok(message.map(|message| answers::cri(&message, id)).transpose()?.flatten())
            })
        })
    }

    /// `Containers.Get` of containerd, which knows the image of every container.
    pub fn containerd(&mut self, root: &Root, socket: &str, namespace: &str, id: &str) -> Option<Facts> {
        let path = "/containerd.services.containers.v1.Containers/Get";
        let namespace = Some(namespace.to_owned());
        let call = Call { path, namespace, message: answers::containerd_request(id) };
        self.ask(root, socket, |stream| async {
            let message = grpc::unary(stream, call).await?;
            Ok(message.map(|message| answers::containerd(&message, id)).transpose()?.flatten())
        })
    }

    /// `GET /containers/ID/json` of the Docker Engine API.
    pub fn docker(&mut self, root: &Root, id: &str) -> Option<Facts> {
        self.ask(root, DOCKER, |mut stream| async move {
            stream.write_all(answers::docker_request(id).as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            Ok(answers::docker(&answer, id)?)
        })
    }

    /// `None`: the socket does not exist, failed, or does not know the container.
    fn ask<F>(&mut self, root: &Root, socket: &str, question: impl FnOnce(UnixStream) -> F) -> Option<Facts>
    where
        F: Future<Output = Result<Option<Facts>, SocketError>>,
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
            asked.await.unwrap_or(Err(SocketError::Silent))
        });
        match answer {
            Ok(facts) => facts,
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
