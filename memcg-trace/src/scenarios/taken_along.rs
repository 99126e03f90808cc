//! What a task takes along when it is moved out of the cgroup in which it got it: memory, a socket, a namespace. The shape
//! that such scenarios have in common.

use std::io;

use anyhow::Result;

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// A scenario whose pins are held by tasks outside, until these end.
pub struct TakenAlong<T> {
    pin: &'static str,
    /// Gets it; runs as the task, in the cgroup.
    take: fn() -> io::Result<T>,
    possible: fn() -> Result<()>,
    prepare: fn(&Cgroup) -> Result<()>,
    tasks: Vec<Task>,
}

impl<T> TakenAlong<T> {
    /// `pin`: see [`Scenario::pin`].
    pub fn new(pin: &'static str, take: fn() -> io::Result<T>) -> Self {
        Self { pin, take, possible: || Ok(()), prepare: |_| Ok(()), tasks: Vec::new() }
    }

    /// An error is the reason why it cannot run here.
    pub fn if_possible(self, possible: fn() -> Result<()>) -> Self {
        Self { possible, ..self }
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
        let task = Task::start(&victim, |ready| {
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
}
