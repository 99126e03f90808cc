//! A task creates an inotify group and is moved to another cgroup.
//!
//! Events are charged to the memcg of whoever created the group (`fsnotify_group.memcg`), which it refers to for that as
//! long as any descriptor for it is open (since 4.19, d46eb14b735b; so does fanotify).

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

use nix::errno::Errno;

use super::{Scenario, taken_along::TakenAlong};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the inotify group", &[Pin::Inotify], inotify)
}

fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointer.
    let fd = Errno::result(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) })?;
    // SAFETY: it was just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
