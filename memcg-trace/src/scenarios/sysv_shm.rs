//! A task writes to a System V shared memory segment and ends; the segment stays.
//!
//! A segment lives until somebody removes it (`ipcrm -m`), with or without processes attached to it. It belongs to an IPC
//! namespace, and goes with that: a container has one of its own unless it shares that of the host or of its pod. Pages
//! pin as those of tmpfs do, whose files segments are. Clean since 7.1 (see pages.rs).

use anyhow::Context as _;

use super::{
    Scenario,
    kept_outside::KeptOutside,
    pages::FILE_BYTES,
    stage::{ForkedTask, SharedSegment},
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the segment", &[Pin::SysvShm], |victim, _| {
        let segment = SharedSegment::new(FILE_BYTES)?;
        ForkedTask::run(victim, || segment.fill())?;
        Ok(segment)
    })
    .if_possible(|| SharedSegment::new(FILE_BYTES).map(drop).context("cannot create a segment"))
}
