//! A task is the first to read a file on a disk; the file stays in the page cache.
//!
//! The cached pages stay charged to the memcg that read them first, whoever reads them later, and each holds a
//! reference. Images and log files pin containers' memcgs for days in this way (lore: "memory.stat is very slow",
//! 2018). drop_caches frees them, and so does memory pressure. Clean since 7.1 (see pages.rs). The file system is
//! mounted noatime: an atime update would dirty the inode, which page-cache-dirty covers.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{
    Pump, Scenario,
    pages::{FILE_BYTES, read_file, write_uncached_file},
    stage::{Disk, ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

#[derive(Default)]
pub struct PageCache {
    disk: Option<Disk>,
    files: u64,
}

impl Scenario for PageCache {
    fn set_up(&mut self, stage: &Stage, cgroups: u64) -> Result<()> {
        self.disk = Some(Disk::mount(&stage.directory("page-cache")?, cgroups * FILE_BYTES as u64)?);
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        let file = next_file(self.disk.as_ref(), &mut self.files)?;
        write_uncached_file(&file)?;
        ForkedTask::run(&victim, || read_file(&file))?;
        victim.remove()
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::File]
    }
}

/// Path for the next file.
pub fn next_file(disk: Option<&Disk>, files: &mut u64) -> Result<PathBuf> {
    let disk = disk.context("the scenario was not set up")?;
    *files += 1;
    Ok(disk.path().join(files.to_string()))
}
