//! The scenarios of `verify`: reproducers of what pins removed memcgs, one file each, which explains what it provokes.

mod cgroup_namespace;
mod churn;
mod controller_toggle;
mod deleted_file;
mod dentries;
mod huge_page;
mod id_exhaustion;
mod inotify;
mod kept_outside;
mod kmem_limit;
mod kmem_toggle;
mod mapped_file;
mod memfd;
mod mlocked;
mod moved_task;
mod nested;
mod network_namespace;
mod orphan_socket;
mod page_cache;
mod page_cache_dirty;
mod pages;
mod perf_event;
mod pipe;
mod slab_caches;
mod socket;
mod socket_in_flight;
pub mod stage;
mod swap;
mod sysv_shm;
mod taken_along;
mod tmpfs;
mod unreaped_task;

use anyhow::Result;

use self::stage::Stage;
use crate::{
    cause::Pin,
    kernel::cgroupfs::cgroup::Cgroup,
    verdict::{ScenarioName, Sign},
};

/// A reproducer that runs on each of a number of cgroups.
pub trait Scenario {
    /// Prepares what its cgroups share. An error means that it cannot run here.
    fn set_up(&mut self, _stage: &Stage, _cgroups: u64) -> Result<()> {
        Ok(())
    }

    /// Pins the memcg of a new cgroup, and then removes the memcg, usually by rmdir. A scenario that creates thousands
    /// of cgroups has to call `pump` regularly, so that no events are lost.
    fn provoke(&mut self, victim: Cgroup, stage: &Stage, pump: Pump<'_>) -> Result<()>;

    /// Called after the last cgroup; `parent` is their parent.
    fn conclude(&mut self, _parent: &Cgroup) -> Result<()> {
        Ok(())
    }

    /// Removes the pins.
    fn unpin(&mut self, _pump: Pump<'_>) -> Result<()> {
        Ok(())
    }

    /// Noun for what pins the memcgs until [`Scenario::unpin`], as in "… is gone"; `None`: there is no pin to remove.
    fn pin(&self) -> Option<&'static str> {
        None
    }

    /// The kinds of things that pin its memcgs, as `explain` names them: each memcg has one of them. Empty: it should
    /// leave no memcg.
    fn pins(&self) -> &'static [Pin] {
        &[]
    }

    /// Number of cgroups it uses if `asked` are requested.
    fn cgroups(&self, asked: u64) -> u64 {
        asked
    }

    /// Number of memcgs created with each of its cgroups.
    fn memcgs_each(&self) -> u64 {
        1
    }

    /// A sign of a leak that does not show in any memcg; called after the memcgs had time to be freed.
    fn sign(&mut self) -> Result<Option<Sign>> {
        Ok(None)
    }
}

/// Lets the tracer drain its events. An error ends the run: we were interrupted.
pub type Pump<'a> = &'a mut dyn FnMut() -> Result<()>;

/// The scenario with this name.
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
        ScenarioName::Memfd => Box::new(memfd::scenario()),
        ScenarioName::SysvShm => Box::new(sysv_shm::scenario()),
        ScenarioName::DeletedFile => Box::new(deleted_file::scenario()),
        ScenarioName::Mlocked => Box::new(mlocked::scenario()),
        ScenarioName::HugePage => Box::new(huge_page::scenario()),
        ScenarioName::SocketInFlight => Box::new(socket_in_flight::scenario()),
        ScenarioName::OrphanSocket => Box::new(orphan_socket::scenario()),
        ScenarioName::NetworkNamespace => Box::new(network_namespace::scenario()),
        ScenarioName::Inotify => Box::new(inotify::scenario()),
        ScenarioName::PerfEvent => Box::new(perf_event::scenario()),
        ScenarioName::Pipe => Box::new(pipe::scenario()),
        ScenarioName::ControllerToggle => Box::<controller_toggle::ControllerToggle>::default(),
        ScenarioName::Nested => Box::<nested::Nested>::default(),
        ScenarioName::Dentries => Box::<dentries::Dentries>::default(),
        ScenarioName::IdExhaustion => Box::<id_exhaustion::IdExhaustion>::default(),
    }
}
