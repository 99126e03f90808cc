//! A task writes to a file on a tmpfs that is deleted and that a process outside has open.
//!
//! Nothing below the mount point shows the file any more, `du` neither: a log that was rotated by `rm` while its writer
//! has it open, a shared memory object after `shm_unlink`. Its pages pin until the last descriptor is closed, or until
//! it is truncated through /proc/PID/fd. Clean since 7.1 (see pages.rs).

use std::fs::{self, File};

use super::{
    Scenario,
    kept_outside::KeptOutside,
    pages::fill_open_file,
    stage::{ForkedTask, Stage},
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the open file", &[Pin::Tmpfs], |victim, _| {
        let path = Stage::files().join("deleted-file");
        let file = File::create_new(&path)?;
        fs::remove_file(path)?;
        ForkedTask::run(victim, || fill_open_file(&file))?;
        Ok(file)
    })
}
