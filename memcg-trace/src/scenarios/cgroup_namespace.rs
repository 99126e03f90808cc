//! A task creates a cgroup namespace and is moved to another cgroup.
//!
//! The namespace's root is the css_set that the task had at that time (`cgroup_namespace.root_cset`), with a reference
//! to the css of every controller, on every kernel. It lives as long as any task in it or any file descriptor for it:
//! container runtimes create such a namespace for each container, and a hanging `nsenter` keeps it.

use std::{io, path::Path};

use anyhow::{Result, ensure};
use nix::sched::{CloneFlags, unshare};

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

#[derive(Default)]
pub struct CgroupNamespace {
    tasks: Vec<Task>,
}

impl Scenario for CgroupNamespace {
    fn set_up(&mut self, _: &Stage, _: u64) -> Result<()> {
        // a79a908fd2b0, 4.6
        ensure!(Path::new("/proc/self/ns/cgroup").exists(), "this kernel has no cgroup namespaces");
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, stage: &Stage, _: Pump<'_>) -> Result<()> {
        let task = Task::start(&victim, |ready| {
            unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from)?;
            ready.stay()
        })?;
        stage.move_out(&task)?;
        self.tasks.push(task);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.tasks.clear();
        Ok(())
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the namespace")
    }
}
