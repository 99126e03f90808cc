//! A cgroup that does nothing but charge memory, because a memcg may wait for that.
//!
//! Each CPU keeps a stock of pages that it charged ahead, with a reference to their memcg. What a task leaves behind is
//! uncharged after css_offline has drained the stocks, and fills one again: a memcg that nothing else pins then stays until
//! another memcg charges on that CPU (mm/memcontrol.c, refill_stock). On a busy node that is soon, on an idle one never, and
//! it is no leak. Since 6.16 a stock has room for seven memcgs, and one bystander drives out none of them; but to empty a
//! memcg the kernel drains the whole stock of every CPU that has pages for it (drain_all_stock).

use anyhow::Result;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::task::ForkedTask;
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// Charged on each CPU, bytes: more than its stock holds (`MEMCG_CHARGE_BATCH`, 64 pages).
const BYTES: usize = 512 << 10;

/// The bystander.
#[derive(Debug)]
pub struct Bystander {
    cgroup: Cgroup,
    cpus: Vec<CpuSet>,
}

impl Bystander {
    pub fn new(home: &Cgroup) -> Result<Self> {
        let online = aya::util::online_cpus().unwrap_or_default();
        let only = |cpu: u32| {
            let mut set = CpuSet::new();
            set.set(cpu as usize).ok().map(|()| set)
        };
        Ok(Self { cgroup: home.child("bystander")?, cpus: online.into_iter().filter_map(only).collect() })
    }

    /// Charges memory on every CPU, then lets the kernel take it back.
    pub fn evict_stocks(&self) -> Result<()> {
        for cpu in &self.cpus {
            ForkedTask::run(&self.cgroup, || {
                // A CPU that is not ours has no stock of ours.
                if sched_setaffinity(Pid::from_raw(0), cpu).is_ok() {
                    std::hint::black_box(vec![1_u8; BYTES]);
                }
                Ok(())
            })?;
        }
        // Drains the stocks first.
        self.cgroup.reclaim();
        Ok(())
    }
}
