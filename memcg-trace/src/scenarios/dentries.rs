//! A task creates empty files that stay: inodes and dentries, which are slab objects charged to its memcg.
//!
//! Up to 5.2 a single such object pinned the slab cache of the memcg, and thus the memcg; a container that only ran
//! `find` left a zombie. 5.3 reparents the caches (fb2f2b0adb98), and since 5.9 objects are charged through an
//! obj_cgroup that is reparented when the memcg goes offline (bf4f059954dc): nothing is pinned.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// Files per cgroup: more inodes than fit in one slab.
const FILES: u32 = 64;

#[derive(Default)]
pub struct Dentries {
    directory: PathBuf,
    cgroups: u64,
}

impl Scenario for Dentries {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        self.directory = stage.directory("dentries")?;
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        self.cgroups += 1;
        let directory = self.directory.join(self.cgroups.to_string());
        Task::run(&victim, || {
            fs::create_dir(&directory)?;
            (0..FILES).try_for_each(|file| fs::File::create(directory.join(file.to_string())).map(drop))
        })?;
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        let directory = self.directory.display();
        fs::remove_dir_all(&self.directory).with_context(|| format!("cannot remove {directory}"))
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the directory")
    }
}
