//! A task writes a file to a tmpfs and ends; the file stays.
//!
//! The pages of the file stay charged to the memcg of who wrote them, and each holds a reference to it. The file is not
//! part of the container: /dev/shm of the host, an emptyDir of medium Memory, a bind mount. Only removing the file helps,
//! drop_caches does not, for there is no disk to read it again from. Since 7.2 pages move to the parent when a memcg goes
//! offline ("Eliminate Dying Memory Cgroup", lore.kernel.org/r/cover.1770279888.git.zhengqi.arch@bytedance.com), and nothing
//! is pinned.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

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
}
