//! Memory of a task is swapped out, then the task is moved to another cgroup.
//!
//! A swapped-out page has no struct page to record its memcg: the swap entry records the memcg ID instead, and the ID
//! pins the memcg. So, since 73f576c04b94 (4.7), this is the only kind of zombie that still holds one of the 65,535
//! IDs, on every kernel so far. It is freed when the swap entries are: the task exits or reads the pages, or swapoff.
//! Up to 6.12 a CPU's cache keeps freed swap slots, and the ID with them, until swapoff.

use std::{hint::black_box, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Pump, Scenario,
    stage::{self, ForkedTask, Stage},
};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

const BYTES: usize = 256 << 10;
/// Enough of it: one page would pin the memcg. Others may swap to our device, too, such as DAMON's proactive reclaim.
const SWAPPED: u64 = BYTES as u64 / 4;
const ATTEMPTS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Default)]
pub struct Swap {
    tasks: Vec<ForkedTask>,
    device: Option<stage::StageSwap>,
}

impl Scenario for Swap {
    fn set_up(&mut self, stage: &Stage, cgroups: u64) -> Result<()> {
        ensure!(stage.home().accounts_swap(), "this kernel does not account swap; boot with swapaccount=1");
        let bytes = 2 * cgroups * BYTES as u64;
        let directory = stage.directory("swap")?;
        self.device = Some(stage::StageSwap::new(&directory, bytes.max(16 << 20))?);
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, stage: &Stage, pump: Pump<'_>) -> Result<()> {
        let task = ForkedTask::start(&victim, |ready| {
            // Not zeros: zero-filled pages do not need a swap slot.
            let _memory = black_box(vec![b'm'; BYTES]);
            ready.stay()
        })?;
        self.tasks.push(task);
        let mut swapped = 0;
        for _ in 0..ATTEMPTS {
            victim.swap_out();
            swapped = victim.swapped_bytes()?;
            if swapped >= SWAPPED {
                stage.move_out(self.tasks.last().context("a task")?)?;
                return victim.remove();
            }
            pump()?;
            std::thread::sleep(PAUSE);
        }
        bail!("only {swapped} of {BYTES} bytes could be swapped out")
    }

    fn unpin(&mut self, _: Pump<'_>) -> Result<()> {
        self.tasks.clear();
        self.device.as_mut().map_or(Ok(()), stage::StageSwap::off)
    }

    fn pin(&self) -> Option<&'static str> {
        Some("the swapped memory")
    }

    fn pins(&self) -> &'static [Pin] {
        &[Pin::Swap]
    }
}
