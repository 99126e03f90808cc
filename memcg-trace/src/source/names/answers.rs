//! Facts from what the runtimes' sockets answer with. Pure: whatever the bytes are, they are facts, nothing, or an error.

use std::collections::BTreeMap;

use prost::Message;
use thiserror::Error;

use super::{
    docker,
    kubernetes::{take_labels, text},
};
use crate::attribution::{FactSource, Facts, Role, Runtime};

/// The answer cannot be parsed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("its answer cannot be parsed")]
pub struct Unparsable;

/// The request for `ContainerStatus` of the Container Runtime Interface.
pub fn cri_request(id: &str) -> Vec<u8> {
    ContainerStatusRequest { container_id: id.to_owned() }.encode_to_vec()
}

/// Its answer; `None`: there is no such container.
pub fn cri(message: &[u8], id: &str) -> Result<Option<Facts>, Unparsable> {
    let Some(status) = ContainerStatusResponse::decode(message).map_err(|_| Unparsable)?.status else {
        return Ok(None);
    };
    let mut facts = Facts { id: Some(id.to_owned()), ..Facts::of(FactSource::Cri) };
    take_labels(&mut facts, &status.labels);
    facts.name = status.metadata.and_then(|metadata| text(&metadata.name)).or(facts.name);
    facts.image = status.image.and_then(|image| text(&image.image));
    facts.role = Some(Role::Workload);
    Ok(Some(facts))
}

/// The request for `Containers.Get` of containerd.
pub fn containerd_request(id: &str) -> Vec<u8> {
    GetContainerRequest { id: id.to_owned() }.encode_to_vec()
}

/// Its answer; `None`: there is no such container.
pub fn containerd(message: &[u8], id: &str) -> Result<Option<Facts>, Unparsable> {
    let Some(container) = GetContainerResponse::decode(message).map_err(|_| Unparsable)?.container else {
        return Ok(None);
    };
    let runtime = Some(Runtime::Containerd);
    let mut facts = Facts { id: Some(id.to_owned()), runtime, ..Facts::of(FactSource::ContainerdApi) };
    take_labels(&mut facts, &container.labels);
    facts.name = facts.name.or_else(|| text(container.labels.get("nerdctl/name")?));
    facts.image = text(&container.image);
    Ok(Some(facts))
}

/// The request for `GET /containers/ID/json` of the Docker Engine API. HTTP/1.0: the connection is closed after the answer.
pub fn docker_request(id: &str) -> String {
    format!("GET /containers/{id}/json HTTP/1.0\r\nHost: docker\r\n\r\n")
}

/// Its answer, headers included; `None`: there is no such container.
pub fn docker(answer: &[u8], id: &str) -> Result<Option<Facts>, Unparsable> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let status = answer.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    match (answer.starts_with(b"HTTP/1."), status, end) {
        (true, b"200", Some(end)) => {
            let facts = docker::inspected(&answer[end + 4..], id, FactSource::DockerApi);
            facts.map(Some).ok_or(Unparsable)
        }
        (true, _, Some(_)) => Ok(None),
        _ => Err(Unparsable),
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
