//! All 65,535 memcg IDs are used up, one cgroup is removed, another is created: the removed one's ID must be free
//! again.
//!
//! The check of the article that started this project: create cgroups until mkdir fails, remove one as in kmem-limit,
//! and try mkdir again. On RHEL 7 a removed memcg keeps its ID until `__mem_cgroup_free`, so mkdir fails ("cannot
//! allocate memory"); since 73f576c04b94 (4.7) the ID is released at css_offline unless swap holds it. While it runs,
//! nobody on the node can create a memory cgroup, and it takes about 2 GB of kernel memory; so it only runs on request.

use std::{fs, io, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Pump, Scenario, kmem_limit::work, stage::Stage};
use crate::{event::ID_LIMIT, kernel::cgroupfs::cgroup::Cgroup, verdict::Sign};

/// Cgroups between two checks of available memory, and between two calls of `pump`.
const BATCH: u64 = 256;
/// Minimum memory per cgroup, and memory that must stay available, KiB.
const CGROUP_KB: u64 = 24;
const RESERVE_KB: u64 = 128 << 10;
/// A removed memcg is offlined by a kworker, with a delay on a busy machine.
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Default)]
pub struct IdExhaustion {
    /// Parent of the cgroups that use up the IDs.
    fill: Option<Cgroup>,
    filled: u64,
}

impl Scenario for IdExhaustion {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        let (needed_kb, available_kb) = (ID_LIMIT * CGROUP_KB + RESERVE_KB, available_kb()?);
        ensure!(
            available_kb > needed_kb,
            "using up the memcg IDs takes {} MiB of memory, {} MiB are available",
            needed_kb >> 10,
            available_kb >> 10
        );
        let fill = stage.home().child("fill")?;
        fill.enable_memory()?;
        self.fill = Some(fill);
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, pump: Pump<'_>) -> Result<()> {
        let exhausted = self.fill_up(pump)?;
        log::debug!("mkdir after {} cgroups: {exhausted}", self.filled);
        if victim.has_kmem_limit() {
            victim.toggle_kmem_limit()?;
        }
        work(&victim)?;
        victim.remove()
    }

    fn unpin(&mut self, pump: Pump<'_>) -> Result<()> {
        let fill = self.fill.as_ref().context("the scenario was not set up")?;
        for number in 0..self.filled {
            fs::remove_dir(fill.directory().join(number.to_string())).context("cannot remove a cgroup")?;
            if number % BATCH == 0 {
                pump()?;
            }
        }
        self.filled = 0;
        Ok(())
    }

    fn cgroups(&self, _: u64) -> u64 {
        1
    }

    /// Creates one more cgroup, which must be possible again.
    fn sign(&mut self) -> Result<Option<Sign>> {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match self.create_one() {
                Ok(()) => return Ok(None),
                Err(error) => said = error.to_string(),
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Some(Sign::IdGone(said)))
    }
}

impl IdExhaustion {
    /// Creates cgroups until mkdir fails, and returns its error.
    fn fill_up(&mut self, pump: Pump<'_>) -> Result<io::Error> {
        for number in 0..=ID_LIMIT {
            if let Err(error) = self.create_one() {
                return Ok(error);
            }
            if number % BATCH == 0 {
                pump()?;
                let left_kb = available_kb()?;
                ensure!(
                    left_kb > RESERVE_KB,
                    "memory ran short after {number} cgroups: {left_kb} KiB are left"
                );
            }
        }
        bail!("{} cgroups could be created although there are {ID_LIMIT} memcg IDs", self.filled)
    }

    fn create_one(&mut self) -> io::Result<()> {
        let fill = self.fill.as_ref().ok_or(io::ErrorKind::NotFound)?;
        fs::create_dir(fill.directory().join(self.filled.to_string()))?;
        self.filled += 1;
        Ok(())
    }
}

/// `MemAvailable` of /proc/meminfo.
fn available_kb() -> Result<u64> {
    let info = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let value = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
    value.context("/proc/meminfo has no MemAvailable")
}
