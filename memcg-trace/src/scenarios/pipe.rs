//! A task fills a pipe that a process outside has open.
//!
//! Pipe buffers are pages that the kernel charges to whoever writes. Before b4e0b68fbd9d (5.13) each such page pins the
//! memcg until it is read; since then it refers to the memcg by an obj_cgroup, which moves to the parent.

use std::{
    io::{self, PipeReader, PipeWriter, Write as _},
    os::fd::AsRawFd as _,
};

use super::{
    Scenario,
    kept_outside::KeptOutside,
    pages::FILE_BYTES,
    stage::{ForkedTask, open_again},
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::<(PipeReader, PipeWriter)>::new("the pipe", &[Pin::KernelPages], |victim, _| {
        let (ours, theirs) = io::pipe()?;
        // As much as a pipe holds.
        let fill = || open_again(theirs.as_raw_fd())?.write_all(&[b'm'; FILE_BYTES]);
        ForkedTask::run(victim, fill)?;
        Ok((ours, theirs))
    })
}
