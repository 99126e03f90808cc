//! What a task takes along when it is moved out of the cgroup in which it got it: memory, a socket, a namespace. The shape
//! that such scenarios have in common.

use std::io;

use anyhow::Result;

use super::{
    Pump, Scenario,
    stage::{ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

/// A scenario whose pins are held by tasks outside, until these end.
pub struct TakenAlong<T> {
    pin: &'static str,
    pins: &'static [Pin],
    /// Gets it; runs as the task, in the cgroup.
    take: fn() -> io::Result<T>,
    possible: fn() -> Result<()>,
    prepare: fn(&Cgroup) -> Result<()>,
    cgroups_max: u64,
    tasks: Vec<ForkedTask>,
}

impl<T> TakenAlong<T> {
    /// `pin`: see [`Scenario::pin`]; `pins`: see [`Scenario::pins`].
    pub fn new(pin: &'static str, pins: &'static [Pin], take: fn() -> io::Result<T>) -> Self {
        Self {
            pin,
            pins,
            take,
            possible: || Ok(()),
            prepare: |_| Ok(()),
            cgroups_max: u64::MAX,
            tasks: Vec::new(),
        }
    }

    /// An error is the reason why it cannot run here.
    pub fn if_possible(self, possible: fn() -> Result<()>) -> Self {
        Self { possible, ..self }
    }

    /// Never in more cgroups than this.
    pub fn at_most(self, cgroups_max: u64) -> Self {
        Self { cgroups_max, ..self }
    }

    /// What each cgroup takes before a task is in it.
    pub fn prepared(self, prepare: fn(&Cgroup) -> Result<()>) -> Self {
        Self { prepare, ..self }
    }
}

impl<T> Scenario for TakenAlong<T> {
    fn set_up(&mut self, _: &Stage, _: u64) -> Result<()> {
        (self.possible)()
    }

    fn provoke(&mut self, victim: Cgroup, stage: &Stage, _: Pump<'_>) -> Result<()> {
        (self.prepare)(&victim)?;
        let take = self.take;
        let task = ForkedTask::start(&victim, |ready| {
            let _taken = take()?;
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
        Some(self.pin)
    }

    fn pins(&self) -> &'static [Pin] {
        self.pins
    }

    fn cgroups(&self, asked: u64) -> u64 {
        asked.min(self.cgroups_max)
    }
}
