//! The memory controller is switched off for a cgroup that stays, while a file on a tmpfs pins the memcg.
//!
//! `echo -memory > cgroup.subtree_control` offlines the memcgs of the children, and no directory is removed: the memcg is a
//! zombie, the cgroup is not dying, and before 6.12 no counter shows it (nr_dying_subsys_memory, ab0312526867). Switched on
//! again, the cgroup gets another memcg. systemd does both when units with and without memory settings come and go. Since
//! 7.2 pages move to the parent when a memcg goes offline, and nothing is pinned.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{
    Pump, Scenario,
    pages::{remove_files, write_file},
    stage::{ForkedTask, Stage},
};
use crate::{kernel::cgroupfs::cgroup::Cgroup, record::Version};

#[derive(Default)]
pub struct ControllerToggle {
    directory: PathBuf,
    files: Vec<PathBuf>,
    cgroups: Vec<Cgroup>,
}

impl Scenario for ControllerToggle {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        ensure!(stage.home().version() == Version::V2, "cgroup v1 has no controllers to switch off");
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
}
