//! A task writes a file to a tmpfs and ends; the file stays.
//!
//! The pages of the file stay charged to the memcg of the task that wrote them, and each holds a reference to it. The
//! file is not part of the container: /dev/shm of the host, an emptyDir of medium Memory, a bind mount. Only removing
//! the file helps; drop_caches does not, as there is no disk to read it back from. Clean since 7.1 (see pages.rs).

use std::path::PathBuf;

use anyhow::Result;

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

#[derive(Default)]
pub struct Tmpfs {
    directory: PathBuf,
    files: Vec<PathBuf>,
}

impl Scenario for Tmpfs {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        self.directory = stage.directory("tmpfs")?;
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        let file = self.directory.join(self.files.len().to_string());
        ForkedTask::run(&victim, || write_file(&file))?;
        self.files.push(file);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        remove_files(&mut self.files)
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the file")
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::Tmpfs]
    }
}
