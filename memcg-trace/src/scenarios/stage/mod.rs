//! The environment of the scenarios: a cgroup, a private tmpfs, and disks, swap, modules and tasks.

mod bystander;
mod disk;
mod module;
mod open_again;
mod perf_event;
mod segment;
mod swap;
mod swap_header;
mod task;
mod zram;

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::mman::{MlockAllFlags, mlockall},
};

use self::bystander::Bystander;
pub use self::{
    disk::Disk, open_again::open_again, perf_event::perf_event_of, segment::SharedSegment, swap::StageSwap,
    task::ForkedTask,
};
use crate::kernel::cgroupfs::{
    cgroup::{Cgroup, move_to_root, remove_tree},
    hierarchy::Controller,
};

const NAME: &str = "memcg-trace-verify-";

/// Mount point of the tmpfs, visible to us only.
const FILES: &str = "/tmp";

/// The stage. Dropping it removes everything; mounts also go away if we are killed.
#[derive(Debug)]
pub struct Stage {
    controller: Controller,
    bystander: Bystander,
    home: Cgroup,
    _files: Files,
}

impl Stage {
    /// Moves the calling thread into its own mount namespace, permanently.
    pub fn new(controller: &Controller) -> Result<Self> {
        remove_leftovers(controller);
        StageSwap::remove_leftovers();
        // Keep our program in memory, so that no task of ours is the first to read a page of it and charged for that.
        if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT) {
            log::warn!("cannot lock the program in memory, its pages may be charged to a scenario: {error}");
        }
        let files = Files::mount()?;
        let home = Cgroup::below_root(controller, &format!("{NAME}{}", process::id()))?;
        home.enable_memory()?;
        let bystander = Bystander::new(&home)?;
        Ok(Self { controller: controller.clone(), bystander, home, _files: files })
    }

    /// The parent of all cgroups of the scenarios.
    pub fn home(&self) -> &Cgroup {
        &self.home
    }

    /// Our tmpfs, for files that are there for a moment.
    pub fn files() -> &'static Path {
        Path::new(FILES)
    }

    /// Creates a directory on our tmpfs for one scenario.
    pub fn directory(&self, scenario: &str) -> Result<PathBuf> {
        let directory = Self::files().join(scenario);
        fs::create_dir(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory)
    }

    /// Moves a task out of its cgroup, to the root of the hierarchy.
    pub fn move_out(&self, task: &ForkedTask) -> Result<()> {
        move_to_root(&self.controller, task.pid())
    }

    /// See [`Bystander`].
    pub fn evict_stocks(&self) -> Result<()> {
        self.bystander.evict_stocks()
    }
}

/// A tmpfs in a mount namespace of our own.
#[derive(Debug)]
struct Files;

impl Files {
    fn mount() -> Result<Self> {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).context("cannot create a mount namespace")?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("cannot make mounts private")?;
        mount(Some("tmpfs"), FILES, Some("tmpfs"), MsFlags::empty(), none)
            .with_context(|| format!("cannot mount a tmpfs on {FILES}"))?;
        Ok(Self)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = umount2(FILES, MntFlags::MNT_DETACH) {
            log::error!("cannot unmount our {FILES}: {error}");
        }
    }
}

/// Removes the cgroups of runs that were killed: they are named after the pid.
fn remove_leftovers(controller: &Controller) {
    for entry in fs::read_dir(&controller.mount).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !is_running(pid))
            && let Err(error) = remove_tree(&entry.path())
        {
            log::warn!("{error:#}");
        }
    }
}

fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
