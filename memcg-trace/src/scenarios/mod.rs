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
mod tmpfs;
mod unreaped_task;

use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use self::stage::Stage;
use crate::kernel::cgroup::Cgroup;

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

/// See [`Scenario::sign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// So many slab caches more than before.
    SlabCaches(u64),
    /// The memcg ID of a removed cgroup cannot be had again; why, as mkdir puts it.
    IdGone(String),
}

/// The scenarios, in the order in which they are run and shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Control: create, run a task, remove
    Churn,
    /// The kmem limit set and lifted again, the leak of RHEL 7 (v1)
    KmemLimit,
    /// The same with nothing running inside: control (v1)
    KmemToggle,
    /// Kernel objects of many kinds; /sys/kernel/slab must return to its level
    SlabCaches,
    /// A file on a tmpfs that outlives the cgroup
    Tmpfs,
    /// Pages of a file that was read
    PageCache,
    /// A file that a task outside has mapped
    MappedFile,
    /// A task that was moved out with its memory
    MovedTask,
    /// Pages in swap: they hold the memcg ID, too
    Swap,
    /// A socket with data in it
    Socket,
    /// A task that ended and that nobody waited for
    UnreapedTask,
    /// A cgroup namespace that began in the cgroup
    CgroupNamespace,
    /// The controller switched off, the cgroup still there (v2)
    ControllerToggle,
    /// Parent and child removed, the child pinned
    Nested,
    /// Inodes and dentries that outlive the cgroup
    Dentries,
    /// Pages of a file that was written, and not yet to the disk
    PageCacheDirty,
    /// All 65,535 memcg IDs used up, one cgroup removed, another created (needs --exhaust)
    IdExhaustion,
}

impl Name {
    /// All of them, in order.
    pub fn all() -> &'static [Self] {
        clap::ValueEnum::value_variants()
    }

    /// It takes what every other scenario needs, and runs alone.
    pub fn is_exclusive(self) -> bool {
        self == Self::IdExhaustion
    }

    /// The scenario itself.
    pub fn scenario(self) -> Box<dyn Scenario> {
        match self {
            Self::Churn => Box::new(churn::Churn),
            Self::KmemLimit => Box::new(kmem_limit::KmemLimit),
            Self::KmemToggle => Box::new(kmem_toggle::KmemToggle),
            Self::SlabCaches => Box::<slab_caches::SlabCaches>::default(),
            Self::Tmpfs => Box::<tmpfs::Tmpfs>::default(),
            Self::PageCache => Box::<page_cache::PageCache>::default(),
            Self::PageCacheDirty => Box::<page_cache_dirty::PageCacheDirty>::default(),
            Self::MappedFile => Box::<mapped_file::MappedFile>::default(),
            Self::MovedTask => Box::<moved_task::MovedTask>::default(),
            Self::Swap => Box::<swap::Swap>::default(),
            Self::Socket => Box::<socket::Socket>::default(),
            Self::UnreapedTask => Box::<unreaped_task::UnreapedTask>::default(),
            Self::CgroupNamespace => Box::<cgroup_namespace::CgroupNamespace>::default(),
            Self::ControllerToggle => Box::<controller_toggle::ControllerToggle>::default(),
            Self::Nested => Box::<nested::Nested>::default(),
            Self::Dentries => Box::<dentries::Dentries>::default(),
            Self::IdExhaustion => Box::<id_exhaustion::IdExhaustion>::default(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
