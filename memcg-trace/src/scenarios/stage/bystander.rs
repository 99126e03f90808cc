//! A cgroup that only charges memory, so that CPUs drop their stocks of other memcgs.
//!
//! Each CPU keeps a stock of pre-charged pages, with a reference to their memcg. Memory that is uncharged after
//! css_offline has drained the stocks refills one: a memcg that nothing else pins then stays until another memcg
//! charges on that CPU (mm/memcontrol.c, refill_stock). On a busy node that is soon, on an idle one never, and it is
//! not a leak. Since 6.16 a stock has room for seven memcgs, and one bystander evicts none of them; but reclaim of a
//! memcg drains the whole stock of every CPU that has pages for it (drain_all_stock). One that has taken its last page
//! out of a stock is not among them, so it takes another number of pages each time.

use std::{hint::black_box, process};

use anyhow::Result;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::task::ForkedTask;
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// Pages that a stock is filled with, `MEMCG_CHARGE_BATCH`.
const BATCH: u32 = 64;
const PAGE_BYTES: usize = 4 << 10;

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

    /// Charges memory on every CPU, then lets the kernel reclaim it.
    pub fn evict_stocks(&self) -> Result<()> {
        for cpu in &self.cpus {
            ForkedTask::run(&self.cgroup, || {
                // A CPU that we may not run on has no stock of ours.
                if sched_setaffinity(Pid::from_raw(0), cpu).is_ok() {
                    let pages = BATCH + process::id() % BATCH;
                    black_box(vec![1_u8; pages as usize * PAGE_BYTES]);
                }
                Ok(())
            })?;
        }
        // Reclaim drains the stocks first.
        self.cgroup.reclaim();
        Ok(())
    }
}
