//! Reproducers of what keeps removed memcgs in the kernel, for `verify`: one file for each, which explains what it provokes.

mod cgroup_namespace;
mod churn;
mod controller_toggle;
mod dentries;
mod id_exhaustion;
mod kmem_limit;
mod kmem_toggle;
mod mapped_file;
mod moved_task;
mod nested;
mod page_cache;
mod page_cache_dirty;
mod pages;
mod slab_caches;
mod socket;
pub mod stage;
mod swap;
mod taken_along;
mod tmpfs;
mod unreaped_task;

use anyhow::Result;

use self::stage::Stage;
use crate::{
    kernel::cgroupfs::cgroup::Cgroup,
    verdict::{ScenarioName, Sign},
};

/// What is tried on each of some cgroups.
pub trait Scenario {
    /// Prepares what its cgroups share. An error is the reason why it cannot run here.
    fn set_up(&mut self, _stage: &Stage, _cgroups: u64) -> Result<()> {
        Ok(())
    }

    /// Does to a fresh cgroup what may pin its memcg, and takes the memcg away: as a rule, by removing the directory. What
    /// makes thousands of cgroups calls `pump` every now and then, so that no event is lost.
    fn provoke(&mut self, victim: Cgroup, stage: &Stage, pump: Pump<'_>) -> Result<()>;

    /// After the last cgroup; `parent` is that of all.
    fn conclude(&mut self, _parent: &Cgroup) -> Result<()> {
        Ok(())
    }

    /// Takes the pins away.
    fn unpin(&mut self, _pump: Pump<'_>) -> Result<()> {
        Ok(())
    }

    /// What pins the memcgs until [`Scenario::unpin`], as in "… is gone"; `None`: nothing that could be taken away.
    fn pin(&self) -> Option<&'static str> {
        None
    }

    /// How many cgroups it takes if so many are asked for.
    fn cgroups(&self, asked: u64) -> u64 {
        asked
    }

    /// Memcgs that come and go with each of its cgroups.
    fn memcgs_each(&self) -> u64 {
        1
    }

    /// What speaks for a leak and is seen in no memcg; asked when the memcgs had time to go.
    fn sign(&mut self) -> Result<Option<Sign>> {
        Ok(None)
    }
}

/// Lets the tracer take what happened. An error ends the run: we were interrupted.
pub type Pump<'a> = &'a mut dyn FnMut() -> Result<()>;

/// The scenario of this name.
pub fn scenario(name: ScenarioName) -> Box<dyn Scenario> {
    match name {
        ScenarioName::Churn => Box::new(churn::Churn),
        ScenarioName::KmemLimit => Box::new(kmem_limit::KmemLimit),
        ScenarioName::KmemToggle => Box::new(kmem_toggle::KmemToggle),
        ScenarioName::SlabCaches => Box::<slab_caches::SlabCaches>::default(),
        ScenarioName::Tmpfs => Box::<tmpfs::Tmpfs>::default(),
        ScenarioName::PageCache => Box::<page_cache::PageCache>::default(),
        ScenarioName::PageCacheDirty => Box::<page_cache_dirty::PageCacheDirty>::default(),
        ScenarioName::MappedFile => Box::<mapped_file::MappedFile>::default(),
        ScenarioName::MovedTask => Box::new(moved_task::scenario()),
        ScenarioName::Swap => Box::<swap::Swap>::default(),
        ScenarioName::Socket => Box::new(socket::scenario()),
        ScenarioName::UnreapedTask => Box::<unreaped_task::UnreapedTask>::default(),
        ScenarioName::CgroupNamespace => Box::new(cgroup_namespace::scenario()),
        ScenarioName::ControllerToggle => Box::<controller_toggle::ControllerToggle>::default(),
        ScenarioName::Nested => Box::<nested::Nested>::default(),
        ScenarioName::Dentries => Box::<dentries::Dentries>::default(),
        ScenarioName::IdExhaustion => Box::<id_exhaustion::IdExhaustion>::default(),
    }
}
