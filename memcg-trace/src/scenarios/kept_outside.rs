//! What a task in the cgroup works on, and this process keeps after the task has ended: memory, a queue, an event. The
//! shape that such scenarios have in common.

use anyhow::Result;

use super::{Pump, Scenario, stage::Stage};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

/// A scenario whose pins are things of this process, until they are dropped.
pub struct KeptOutside<T> {
    pin: &'static str,
    pins: &'static [Pin],
    /// Has a task of the cgroup pin it, and returns what keeps the pin.
    make: fn(&Cgroup, &Stage) -> Result<T>,
    possible: fn() -> Result<()>,
    kept: Vec<T>,
}

impl<T> KeptOutside<T> {
    /// `pin`: see [`Scenario::pin`]; `pins`: see [`Scenario::pins`].
    pub fn new(pin: &'static str, pins: &'static [Pin], make: fn(&Cgroup, &Stage) -> Result<T>) -> Self {
        Self { pin, pins, make, possible: || Ok(()), kept: Vec::new() }
    }

    /// An error is the reason why it cannot run here.
    pub fn if_possible(self, possible: fn() -> Result<()>) -> Self {
        Self { possible, ..self }
    }
}

impl<T> Scenario for KeptOutside<T> {
    fn set_up(&mut self, _: &Stage, _: u64) -> Result<()> {
        (self.possible)()
    }

    fn provoke(&mut self, victim: Cgroup, stage: &Stage, _: Pump<'_>) -> Result<()> {
        self.kept.push((self.make)(&victim, stage)?);
        victim.remove()
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.kept.clear();
        Ok(())
    }

    fn pin(&self) -> Option<&'static str> {
        Some(self.pin)
    }

    fn pins(&self) -> &'static [Pin] {
        self.pins
    }
}
