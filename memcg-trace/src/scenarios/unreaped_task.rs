//! A task ends and its parent does not wait for it.
//!
//! The zombie task still belongs to its cgroups: its css_set holds a reference to the css of every controller, on every
//! kernel. rmdir still works, because a cgroup counts as empty once its last task has exited. A container whose first
//! process does not reap, or a hanging shim of a runtime, leaves such tasks.

use anyhow::Result;

use super::{
    Pump, Scenario,
    stage::{ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

#[derive(Default)]
pub struct UnreapedTask {
    tasks: Vec<ForkedTask>,
}

impl Scenario for UnreapedTask {
    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        self.tasks.push(ForkedTask::start(&victim, |_| Ok(()))?);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.tasks.clear();
        Ok(())
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the zombie task")
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::Task]
    }
}
