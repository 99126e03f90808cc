//! A task opens a TCP connection, leaves data in it, and is moved to another cgroup.
//!
//! A socket belongs to the memcg of the task that created it (mem_cgroup_sk_alloc), for its lifetime, and so do its
//! buffers: passed to a proxy or inherited by a daemon, it pins the container's memcg until it is closed, on every
//! kernel. On v1 this applies to cgroups whose `memory.kmem.tcp.limit_in_bytes` was ever set.

use std::{
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::Context as _;

use super::{Scenario, taken_along::TakenAlong};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

const BYTES: usize = 128 << 10;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the socket", &[Pin::Socket], connection_with_data)
        .if_possible(|| connection().map(drop).context("cannot connect to 127.0.0.1; is lo up?"))
        .prepared(Cgroup::charge_sockets)
}

/// Nobody reads what is in it.
fn connection_with_data() -> io::Result<(TcpStream, TcpStream)> {
    let (mut from, to) = connection()?;
    from.set_nonblocking(true)?;
    match from.write(&[b'm'; BYTES])? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok((from, to)),
    }
}

fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let from = TcpStream::connect(listener.local_addr()?)?;
    Ok((from, listener.accept()?.0))
}
