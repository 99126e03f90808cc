//! The memory controller is disabled for a cgroup that stays, while a tmpfs file pins the memcg.
//!
//! `echo -memory > cgroup.subtree_control` offlines the memcgs of the children, and no directory is removed: the memcg
//! is a zombie, the cgroup is not dying, and before 6.12 no counter shows it (nr_dying_subsys_memory, ab0312526867).
//! Enabling it again gives the cgroup a new memcg. systemd does both when units with and without memory settings come
//! and go. Clean since 7.1 (see pages.rs).

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup, record::Version};

#[derive(Default)]
pub struct ControllerToggle {
    directory: PathBuf,
    files: Vec<PathBuf>,
    cgroups: Vec<Cgroup>,
}

impl Scenario for ControllerToggle {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        ensure!(stage.home().version() == Version::V2, "controllers cannot be disabled on cgroup v1");
        self.directory = stage.directory("controller-toggle")?;
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        let file = self.directory.join(self.files.len().to_string());
        ForkedTask::run(&victim, || write_file(&file))?;
        self.files.push(file);
        self.cgroups.push(victim);
        Ok(())
    }

    fn conclude(&mut self, parent: &Cgroup) -> Result<()> {
        parent.disable_memory()
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
