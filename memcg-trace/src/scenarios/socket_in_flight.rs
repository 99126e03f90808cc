//! A task sends a socket over a unix socket and ends; nobody receives the message.
//!
//! The message has the only reference to the file of the socket (SCM_RIGHTS), so no process shows it, and ss cannot say
//! whose it is. The closed socket that sent the message lives as long as the message does, too. A proxy that hands over
//! its connections to a successor that hangs leaves such sockets. On v1 this applies to cgroups whose
//! `memory.kmem.tcp.limit_in_bytes` was ever set.

use std::{
    fs,
    io::{self, IoSlice},
    mem,
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::net::UnixDatagram,
    },
    path::Path,
};

use nix::errno::Errno;

use super::{
    Scenario,
    kept_outside::KeptOutside,
    stage::{ForkedTask, Stage},
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the message", &[Pin::Socket], |victim, _| {
        victim.charge_sockets()?;
        let path = Stage::files().join("in-flight");
        let receiver = UnixDatagram::bind(&path)?;
        ForkedTask::run(victim, || send_a_socket(&path))?;
        fs::remove_file(path)?;
        Ok(receiver)
    })
}

fn send_a_socket(to: &Path) -> io::Result<()> {
    let (from, socket) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
    from.connect(to)?;
    send_descriptor(&from, socket.as_raw_fd())
}

/// cmsg(3): the header and one descriptor, aligned as the header is.
#[repr(C)]
struct Rights {
    header: libc::cmsghdr,
    fd: RawFd,
}

fn send_descriptor(through: &UnixDatagram, fd: RawFd) -> io::Result<()> {
    let header = libc::cmsghdr {
        cmsg_len: mem::offset_of!(Rights, fd) + size_of::<RawFd>(),
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    let mut rights = Rights { header, fd };
    let mut data = IoSlice::new(b"m");
    // SAFETY: all zeros is a message without address, data and control.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = (&raw mut data).cast();
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut rights).cast();
    message.msg_controllen = size_of::<Rights>();
    // SAFETY: the message refers to what lives until the call returns; IoSlice has the layout of iovec.
    let sent = unsafe { libc::sendmsg(through.as_raw_fd(), &raw const message, 0) };
    Ok(Errno::result(sent).map(drop)?)
}
