//! A unary gRPC call over a new connection, which is all that looking up a name needs (grpc doc/PROTOCOL-HTTP2.md).

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::net::UnixStream;

/// Length of the prefix: compressed flag and message length.
const PREFIX: usize = 5;
/// Maximum length of an answer.
const ANSWER_MAX: usize = 4 << 20;

/// The method and its arguments.
pub struct Call {
    /// `/package.Service/Method`
    pub path: &'static str,
    /// Namespace of containerd.
    pub namespace: Option<String>,
    pub message: Vec<u8>,
}

#[derive(Debug, Error)]
pub enum GrpcError {
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
    #[error("HTTP status {0}")]
    Status(http::StatusCode),
    #[error("the message has a different length than it claims")]
    Length,
}

/// Returns the answer; `None`: a status other than OK, for example if there is no such container or service.
pub async fn unary(stream: UnixStream, call: Call) -> Result<Option<Bytes>, GrpcError> {
    let (client, connection) = h2::client::handshake(stream).await?;
    // Runs as long as the call.
    let connection = tokio::spawn(connection);
    let answer = exchange(client, call).await;
    connection.abort();
    answer
}

async fn exchange(client: h2::client::SendRequest<Bytes>, call: Call) -> Result<Option<Bytes>, GrpcError> {
    let mut request = http::Request::post(format!("http://localhost{}", call.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(namespace) = call.namespace {
        request = request.header("containerd-namespace", namespace);
    }
    let mut framed = BytesMut::with_capacity(PREFIX + call.message.len());
    framed.extend_from_slice(&[0]);
    framed
        .extend_from_slice(&u32::try_from(call.message.len()).map_err(|_| GrpcError::Length)?.to_be_bytes());
    framed.extend_from_slice(&call.message);
    let (response, mut body) = client.ready().await?.send_request(request.body(())?, false)?;
    body.send_data(framed.freeze(), true)?;

    let response = response.await?;
    if response.status() != http::StatusCode::OK {
        return Err(GrpcError::Status(response.status()));
    }
    let mut body = response.into_body();
    let mut answer = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        answer.extend_from_slice(&chunk);
        if answer.len() > ANSWER_MAX {
            return Err(GrpcError::Length);
        }
    }
    // Without a message, there is a status with the reason.
    if answer.is_empty() {
        return Ok(None);
    }
    let [0, a, b, c, d, ..] = *answer else { return Err(GrpcError::Length) };
    let message = answer.freeze().split_off(PREFIX);
    let whole = message.len() == u32::from_be_bytes([a, b, c, d]) as usize;
    whole.then_some(Some(message)).ok_or(GrpcError::Length)
}
