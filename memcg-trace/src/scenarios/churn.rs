//! Control: a cgroup is created, a task runs in it and ends, the cgroup is removed.
//!
//! Nothing pins it, and every kernel frees it within about 100 ms. A kernel that leaks here always leaks, which makes
//! the other scenarios meaningless. The kernel's own control is test_kmem_dead_cgroups
//! (tools/testing/selftests/cgroup).

use std::hint::black_box;

use anyhow::Result;

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

const BYTES: usize = 256 << 10;

pub struct Churn;

impl Scenario for Churn {
    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        Task::run(&victim, || {
            black_box(vec![1_u8; BYTES]);
            Ok(())
        })?;
        victim.remove()
    }
}
