//! A task writes a file on a disk and ends; the file is not written back.
//!
//! As in page-cache, the pages pin the memcg, here until they have been written back as well: `sync`, then drop_caches.
//! On v2 there is also cgroup writeback: the inode belongs to a `bdi_writeback` of the cgroup, which holds a reference
//! to the css. Since 7.1 (see pages.rs) only this reference remains; it is dropped when the inode is clean and either
//! evicted or, when another memcg goes offline, switched to the parent (c22d70a162d3, 5.14). drop_caches evicts it, but not
//! on 7.3.4, where it ends with the file.
//!
//! The kernel writes back files that have been dirty for 30 s (dirty_expire_centisecs): so of concurrent scenarios,
//! this one is provoked last.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    Pump, Scenario,
    page_cache::next_file,
    pages::{FILE_BYTES, remove_files, write_file},
    stage::{Disk, ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

#[derive(Default)]
pub struct PageCacheDirty {
    disk: Option<Disk>,
    files: u64,
    written: Vec<PathBuf>,
}

impl Scenario for PageCacheDirty {
    fn set_up(&mut self, stage: &Stage, cgroups: u64) -> Result<()> {
        self.disk = Some(Disk::mount(&stage.directory("page-cache-dirty")?, cgroups * FILE_BYTES as u64)?);
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        let file = next_file(self.disk.as_ref(), &mut self.files)?;
        ForkedTask::run(&victim, || write_file(&file))?;
        self.written.push(file);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        remove_files(&mut self.written)
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the file")
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::File, Pin::Writeback]
    }
}
