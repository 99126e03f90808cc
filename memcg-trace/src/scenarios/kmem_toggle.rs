//! Control for kmem-limit: the kmem limit is set and removed again, and nothing runs. This alone creates no slab cache
//! with an object in it, and does not leak on any known kernel (tried on 3.10.0-1062.el7 and 3.10.0-1160.el7).

use anyhow::Result;

use super::{Pump, Scenario, kmem_limit::KmemLimit, stage::Stage};
use crate::kernel::cgroupfs::cgroup::Cgroup;

pub struct KmemToggle;

impl Scenario for KmemToggle {
    fn set_up(&mut self, stage: &Stage, cgroups: u64) -> Result<()> {
        KmemLimit.set_up(stage, cgroups)
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        victim.toggle_kmem_limit()?;
        victim.remove()
    }
}
