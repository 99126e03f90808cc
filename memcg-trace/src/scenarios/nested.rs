//! Parent and child are removed, a file on a tmpfs pins the child.
//!
//! A css holds a reference to that of its parent: one pinned memcg keeps all above it. A pod's memcg is the parent of its
//! containers', so one leaked container shows as two, and the parent's single reference names no page. Since 7.2 pages move
//! to the parent when a memcg goes offline, and nothing is pinned.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

#[derive(Default)]
pub struct Nested {
    directory: PathBuf,
    files: Vec<PathBuf>,
}

impl Scenario for Nested {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        self.directory = stage.directory("nested")?;
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        victim.enable_memory()?;
        let child = victim.child("child")?;
        let file = self.directory.join(self.files.len().to_string());
        ForkedTask::run(&child, || write_file(&file))?;
        self.files.push(file);
        child.remove()?;
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        remove_files(&mut self.files)
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the file")
    }

    fn memcgs_each(&self) -> u64 {
        2
    }
}
