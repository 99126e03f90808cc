//! A task opens a TCP connection, leaves data in it, and is moved to another cgroup.
//!
//! A socket belongs to the memcg of the task that created it (mem_cgroup_sk_alloc), for its lifetime, and so do its
//! buffers: passed to a proxy or inherited by a daemon, it pins the container's memcg until it is closed, on every
//! kernel. On v1 this applies to cgroups whose `memory.kmem.tcp.limit_in_bytes` was ever set.

use std::{
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::{Context as _, Result};

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

const BYTES: usize = 128 << 10;

#[derive(Default)]
pub struct Socket {
    tasks: Vec<Task>,
}

impl Scenario for Socket {
    fn set_up(&mut self, _: &Stage, _: u64) -> Result<()> {
        connection().map(drop).context("cannot connect to 127.0.0.1; is lo up?")
    }

    fn provoke(&mut self, victim: Cgroup, stage: &Stage, _: Pump<'_>) -> Result<()> {
        victim.charge_sockets()?;
        let task = Task::start(&victim, |ready| {
            let (mut from, _to) = connection()?;
            from.set_nonblocking(true)?;
            match from.write(&[b'm'; BYTES]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                written => written?,
            };
            ready.stay()
        })?;
        stage.move_out(&task)?;
        self.tasks.push(task);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.tasks.clear();
        Ok(())
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the socket")
    }
}

fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let from = TcpStream::connect(listener.local_addr()?)?;
    Ok((from, listener.accept()?.0))
}
