//! A task allocates memory and is moved to another cgroup; its memory is not.
//!
//! Pages stay charged to the memcg in which they were allocated (v2 never moves charges, v1 not by default): a daemon
//! that was started by a container and moved out pins the container's memcg until it exits. Before 6.1 its kernel stack
//! and page tables do so as well. Clean since 7.1 (see pages.rs).

use std::hint::black_box;

use anyhow::Result;

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

const BYTES: usize = 256 << 10;

#[derive(Default)]
pub struct MovedTask {
    tasks: Vec<Task>,
}

impl Scenario for MovedTask {
    fn provoke(&mut self, victim: Cgroup, stage: &Stage, _: Pump<'_>) -> Result<()> {
        let task = Task::start(&victim, |ready| {
            let _memory = black_box(vec![1_u8; BYTES]);
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
        Some("the task")
    }
}
