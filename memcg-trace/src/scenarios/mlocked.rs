//! A task locks memory and is moved to another cgroup.
//!
//! As in moved-task, the pages stay charged, and these cannot be swapped out either. Since 5.18 they are on no LRU list
//! (`mlock_count` overlays the list), so only a look at every page of the machine finds them. Databases, hypervisors and
//! agents lock their memory. Clean since 7.1 (see pages.rs).

use std::io;

use nix::sys::mman::mlock;

use super::{
    Scenario,
    pages::{AnonMapping, FILE_BYTES},
    taken_along::TakenAlong,
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the task", &[Pin::Anon], locked)
}

fn locked() -> io::Result<AnonMapping> {
    let memory = AnonMapping::new(FILE_BYTES)?;
    memory.fill();
    // SAFETY: the mapping.
    unsafe { mlock(memory.start(), FILE_BYTES) }?;
    Ok(memory)
}
