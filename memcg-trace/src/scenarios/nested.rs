//! Parent and child are removed, a tmpfs file pins the child.
//!
//! A css holds a reference to its parent: one pinned memcg pins all its ancestors. A pod's memcg is the parent of its
//! containers', so one leaked container shows up as two, and the parent has a single reference and no pages. Clean
//! since 7.1 (see pages.rs).

use std::path::PathBuf;

use anyhow::Result;

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

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

    fn pins(&self) -> &'static [Pin] {
        &[Pin::Tmpfs, Pin::Child]
    }
}
