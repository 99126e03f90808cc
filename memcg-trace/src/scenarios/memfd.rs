//! A task writes to a memfd that a process outside has open.
//!
//! A memfd is a file on a tmpfs that nobody can mount (shm_mnt): its pages pin as those of tmpfs do, and no directory
//! shows it. It is freed when its last descriptor is closed and its last mapping gone. Wayland buffers, JIT code and
//! sealed configuration travel between containers this way. Clean since 7.1 (see pages.rs).

use std::os::fd::OwnedFd;

use anyhow::Context as _;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Scenario, kept_outside::KeptOutside, pages::fill_open_file, stage::ForkedTask};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the memfd", &[Pin::Memfd], |victim, _| {
        let memfd: OwnedFd = memfd_create(c"memcg-trace", MFdFlags::MFD_CLOEXEC)?;
        ForkedTask::run(victim, || fill_open_file(&memfd))?;
        Ok(memfd)
    })
    .if_possible(|| {
        memfd_create(c"memcg-trace", MFdFlags::empty()).map(drop).context("cannot create a memfd")
    })
}
