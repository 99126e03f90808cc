//! A task is the first to read a file on a disk; a task outside the cgroup maps it.
//!
//! The pages stay charged to the memcg that read them first, and mapped pages cannot be dropped: drop_caches does not
//! help as long as the other task lives. One example is a shared library that a container was the first to load and
//! that all other containers use. Once unmapped, the pages are page cache like any other (see page-cache), and
//! drop_caches frees them. Clean since 7.1 (see pages.rs).

use anyhow::Result;

use super::{
    Pump, Scenario,
    page_cache::next_file,
    pages::{FILE_BYTES, Mapping, read_file, write_uncached_file},
    stage::{Disk, ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

#[derive(Default)]
pub struct MappedFile {
    /// Dropped before the disk, as mapped files keep it busy. The task outside is this process.
    mappings: Vec<Mapping>,
    disk: Option<Disk>,
    files: u64,
}

impl Scenario for MappedFile {
    fn set_up(&mut self, stage: &Stage, cgroups: u64) -> Result<()> {
        self.disk = Some(Disk::mount(&stage.directory("mapped-file")?, cgroups * FILE_BYTES as u64)?);
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        let file = next_file(self.disk.as_ref(), &mut self.files)?;
        write_uncached_file(&file)?;
        ForkedTask::run(&victim, || read_file(&file))?;
        let mapping = Mapping::of(&file)?;
        mapping.touch();
        self.mappings.push(mapping);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.mappings.clear();
        Ok(())
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the mapping")
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::File]
    }
}
