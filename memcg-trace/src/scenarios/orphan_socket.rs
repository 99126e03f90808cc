//! A task fills a TCP connection and ends; the other end does not read.
//!
//! The socket is closed, and the kernel keeps it to send the rest (`ss -t state fin-wait-1`, no process): until the peer
//! reads or resets, or until net.ipv4.tcp_orphan_retries. A client that is stuck pins the memcg of the server that it
//! talked to. On v1 this applies to cgroups whose `memory.kmem.tcp.limit_in_bytes` was ever set.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use anyhow::Context as _;
use nix::errno::Errno;

use super::{Scenario, kept_outside::KeptOutside, stage::ForkedTask};
use crate::cause::Pin;

/// Small, for many of them may be there at once; the kernel makes more of it.
const BUFFER: libc::c_int = 4 << 10;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the other end", &[Pin::Socket], |victim, _| {
        victim.charge_sockets()?;
        let listener = listener()?;
        let address = listener.local_addr()?;
        ForkedTask::run(victim, || fill_connection(address))?;
        Ok(listener)
    })
    .if_possible(|| {
        let connected = listener().and_then(|listener| TcpStream::connect(listener.local_addr()?));
        connected.map(drop).context("cannot connect to 127.0.0.1; is lo up?")
    })
}

/// What it accepts has its buffers; nobody does, so the connection stays with it.
fn listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    set_buffer(&listener, libc::SO_RCVBUF)?;
    Ok(listener)
}

/// Writes until nothing more fits, and closes.
fn fill_connection(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    set_buffer(&stream, libc::SO_SNDBUF)?;
    stream.set_nonblocking(true)?;
    loop {
        match stream.write(&[b'm'; BUFFER as usize]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            written => written.map(drop)?,
        }
    }
}

/// `which`: `SO_SNDBUF` or `SO_RCVBUF`.
fn set_buffer(socket: &impl AsRawFd, which: libc::c_int) -> io::Result<()> {
    let bytes = BUFFER;
    let length = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the option is an int.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, which, (&raw const bytes).cast(), length)
    };
    Ok(Errno::result(set).map(drop)?)
}
