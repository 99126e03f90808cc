//! Tasks make the kernel allocate objects of many kinds; when the cgroups are gone, /sys/kernel/slab must have as many
//! slab caches as before.
//!
//! Up to 5.8 each memcg with kmem accounting had its own copy of every slab cache it used (memcg_create_kmem_cache). On
//! RHEL 7 these copies outlived the memcg: slab caches by the hundred thousand, and "SLUB: Unable to allocate memory on
//! node -1" (runc#1725; fixed in 3.10.0-1062.12.1.el7). Since 5.9 memcgs share the caches (10befea91b61). In 5.3 to 5.8
//! the copies are reparented when the memcg goes offline (fb2f2b0adb98).
//!
//! Modules loaded meanwhile also create caches, so fewer than one additional cache per cgroup proves nothing.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result};

use super::{Pump, Scenario, kmem_limit::work, stage::Stage};
use crate::{kernel::cgroupfs::cgroup::Cgroup, verdict::Sign};

const CACHES: &str = "/sys/kernel/slab";
/// Directory of the memcgs' copies below their root cache (4.x).
const COPIES: &str = "cgroup";

/// Slab caches are destroyed by a kworker, after the memcg.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Default)]
pub struct SlabCaches {
    /// Count before the first cgroup, after every other scenario has loaded the modules it needs.
    before: Option<u64>,
}

impl Scenario for SlabCaches {
    fn set_up(&mut self, _: &Stage, _: u64) -> Result<()> {
        count().map(drop)
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        if self.before.is_none() {
            self.before = Some(count()?);
        }
        if victim.has_kmem_limit() {
            victim.limit_kmem(1 << 30)?;
        }
        work(&victim)?;
        victim.remove()
    }

    fn sign(&mut self) -> Result<Option<Sign>> {
        let Some(before) = self.before else { return Ok(None) };
        let mut more = 0;
        for _ in 0..ATTEMPTS {
            more = count()?.saturating_sub(before);
            if more == 0 {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
        Ok(Some(Sign::SlabCaches(more)))
    }
}

/// Number of slab caches, including copies for memcgs.
fn count() -> Result<u64> {
    let entries = |directory: &Path| fs::read_dir(directory).map(|entries| entries.flatten());
    let caches = entries(Path::new(CACHES)).with_context(|| format!("cannot count slab caches: {CACHES}"))?;
    let copies = |cache: &Path| entries(&cache.join(COPIES)).map_or(0, Iterator::count);
    Ok(caches.map(|cache| 1 + copies(&cache.path()) as u64).sum())
}
