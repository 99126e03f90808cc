//! The HTTP server: HTTP/1.1 on a thread and a runtime of its own, so that no client can keep the drain waiting.
//!
//! It is meant for a handful of scrapers. Everything that a client may do is bounded: the size and the number of headers,
//! the time for them, the time of a connection, connections and requests. Whoever opens more gets rid of the oldest.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{board::Board, request_rate::RequestRate, routes};
use crate::kernel::privileges;

const CONNECTIONS_MAX: usize = 128;
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;
/// From the start of a connection, or the end of a request, to the end of the next one's headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A connection is closed after this time; Prometheus opens a new one.
const CONNECTION_WITHIN: Duration = Duration::from_secs(120);
/// How long to wait when no connection can be accepted, for lack of file descriptors.
const NONE_ACCEPTED: Duration = Duration::from_millis(100);

/// Starts the thread; it keeps no capability, and ends with the process. The listener is bound already: binding is among
/// the system calls that are forbidden once hooks are attached.
pub fn serve(listener: TcpListener, board: Arc<Board>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("http".to_owned()).spawn(move || {
        privileges::keep_none();
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(&listener, board).await,
                Err(error) => log::error!("cannot serve: {error}"),
            }
        });
    })?;
    Ok(())
}

async fn accept(listener: &tokio::net::TcpListener, board: Arc<Board>) {
    let rate = Arc::new(Mutex::new(RequestRate::new()));
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::debug!("cannot accept a connection: {error}");
                sleep(NONE_ACCEPTED).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        while connections.len() >= CONNECTIONS_MAX {
            connections.pop_front().iter().for_each(AbortHandle::abort);
        }
        let connection = tokio::spawn(connection(stream, board.clone(), rate.clone()));
        connections.push_back(connection.abort_handle());
    }
}

/// Answers the requests of one connection. Its errors are the client's.
async fn connection(stream: TcpStream, board: Arc<Board>, rate: Arc<Mutex<RequestRate>>) {
    let service = service_fn(|request| {
        let (board, allowed) = (board.clone(), rate.lock().unwrap_or_else(PoisonError::into_inner).allows());
        async move {
            Ok::<_, Infallible>(match allowed {
                true => routes::answer(&board, &request).await,
                false => routes::too_many(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::debug!("a connection ended: {error}"),
        Err(_) => log::debug!("a connection took too long"),
    }
}
