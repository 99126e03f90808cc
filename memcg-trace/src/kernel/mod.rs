//! Everything that differs between kernels: what the structs look like, where the memory controller is, which hooks can
//! be attached, what the process may do. Facts are probed; no version is ever compared. Nowhere else.

pub mod answer;
pub mod attach;
pub mod boot;
pub mod btf_file;
pub mod callbacks;
pub mod cgroup;
pub mod clock;
pub mod controller;
pub mod counted;
pub mod counter_index;
pub mod counters;
pub mod dentry;
pub mod hierarchies;
pub mod kcore;
pub mod kmem;
pub mod kprobe_events;
pub mod layout;
pub mod memcg_caches;
pub mod missed;
pub mod objects;
mod own;
pub mod privileges;
pub mod proof;
pub mod slab;
pub mod slab_list;
pub mod symbols;
pub mod traceable;
pub mod unpreempted;
pub mod wakeups;
pub mod walk;

use std::path::Path;

use anyhow::Result;
use memcg_trace_common::{ABSENT, DentryLayout, WalkLayout};
use nix::unistd::{SysconfVar, sysconf};

use self::{
    attach::Kind,
    callbacks::Callbacks,
    controller::{Census, Controller},
    counters::{CountersError, Packed},
    layout::{LayoutError, Resolved},
    memcg_caches::{CacheLayout, CachesError, MemcgCaches},
    proof::{ProofError, Proven},
    walk::{Walk, WalkError},
};

/// What every command needs to know before it reads kernel memory.
pub struct Kernel {
    pub controller: Controller,
    pub callbacks: Callbacks,
    pub layout: WalkLayout,
    /// Known where cgroups are dentries.
    pub dentry: DentryLayout,
    packed: Option<Packed>,
    /// Known where memcgs have slab caches of their own.
    caches: Option<CacheLayout>,
    /// Address of the `cgroup_root` that carries the memory controller; 0: not known.
    pub memory_root: u64,
}

impl Kernel {
    /// Checks privileges, finds the controller, resolves the layout (from `btf`, or from the kernel itself) and proves it.
    pub fn probe(btf: Option<&Path>) -> Result<Self> {
        privileges::check()?;
        privileges::raise_memlock();
        let controller = Controller::find()?;
        let callbacks = Callbacks::find();
        // They know no parents and no serial numbers, and have never had type information.
        if callbacks == Callbacks::Cgroup {
            if btf.is_some() {
                log::warn!("--btf is not read: the structs of such a kernel are written down");
            }
            return Ok(Self::by_cgroup(&controller).unwrap_or_else(|error| {
                log::warn!("memcgs are known by their addresses alone: {error}");
                Self::without_layout(controller, callbacks)
            }));
        }
        let resolved = match layout::resolve(btf) {
            Err(error @ LayoutError::NoBtf) => {
                log::warn!("memcgs are known by their addresses alone: {error}");
                return Ok(Self::without_layout(controller, callbacks));
            }
            resolved => resolved?,
        };
        let proof = proof::prove(&resolved.layout.layout, &controller);
        if let Err(error @ ProofError::Impossible(_)) = &proof
            && btf.is_none()
        {
            log::warn!("the struct layout is not proven: {error}");
        }
        Ok(Self::proven(controller, resolved, proof, btf.is_none())?)
    }

    /// What was probed, if it may be relied on: the kernel's `own` description also where it cannot be proven, a file not.
    pub fn proven(
        controller: Controller,
        resolved: Resolved,
        proof: Result<Proven, ProofError>,
        own: bool,
    ) -> Result<Self, ProofError> {
        let memory_root = match proof {
            Ok(proven) => proven.memory_root,
            Err(ProofError::Impossible(_)) if own => 0,
            Err(error) => return Err(error),
        };
        let Resolved { layout, packed, caches } = resolved;
        let (callbacks, dentry) = (Callbacks::Css, DentryLayout::NONE);
        Ok(Self { controller, callbacks, layout, dentry, packed, caches, memory_root })
    }

    /// A kernel whose structs are not known: the hooks see pointers, and what they are called with.
    pub fn without_layout(controller: Controller, callbacks: Callbacks) -> Self {
        let (layout, dentry) = (WalkLayout::UNKNOWN, DentryLayout::NONE);
        // They prove themselves when they are read.
        let caches = match callbacks {
            Callbacks::Css => None,
            Callbacks::Cgroup => Some(memcg_caches::BY_CGROUP),
        };
        Self { controller, callbacks, layout, dentry, packed: None, caches, memory_root: 0 }
    }

    /// A kernel whose callbacks are called with cgroups: the one layout that is known of such, if it proves itself.
    pub fn by_cgroup(controller: &Controller) -> Result<Self, ProofError> {
        let (layout, dentry) = dentry::prove(controller)?;
        let layout = WalkLayout { layout, ..WalkLayout::UNKNOWN };
        Ok(Self { layout, dentry, ..Self::without_layout(controller.clone(), Callbacks::Cgroup) })
    }

    /// The cgroups that exist. How many are dying is not counted where memcgs outlive their cgroups.
    pub fn census(&self) -> Census {
        let census = self.controller.census();
        let dying = census.dying.filter(|_| self.callbacks == Callbacks::Css);
        Census { dying, ..census }
    }

    /// Completes the layout with the counters of what memcgs are charged for, where no type tells. Reads all symbols of
    /// the kernel.
    pub fn find_counters(&mut self) -> Result<(), CountersError> {
        if let Some(packed) = self.packed {
            self.layout.kinds = packed.offsets()?;
            self.packed = None;
        }
        Ok(())
    }

    /// What decides over the hooks.
    pub fn kind(&self) -> Kind {
        Kind { callbacks: self.callbacks, blind: self.layout.layout.css_cgroup == ABSENT }
    }

    /// The best walk that this kernel allows.
    pub fn load_walk(&self) -> Result<Walk, WalkError> {
        match (self.callbacks, self.dentry) {
            (Callbacks::Css, _) => Walk::load(&self.layout),
            (Callbacks::Cgroup, DentryLayout::NONE) => {
                Err(WalkError::NoIds("the layout is not proven".into()))
            }
            (Callbacks::Cgroup, dentry) => Walk::by_ids(&dentry),
        }
    }

    /// The slab caches of memcgs; `None`: they have none of their own, or it is not known where these are.
    pub fn memcg_caches(&self) -> Result<Option<MemcgCaches>, CachesError> {
        self.caches.map(MemcgCaches::open).transpose()
    }

    /// The walk, where this kernel allows it; otherwise says why not.
    pub fn walk(&self) -> Option<Walk> {
        self.load_walk().inspect_err(|error| log::warn!("what exists already is not known: {error}")).ok()
    }
}

/// The unit of page counters; 4 KiB where sysconf does not tell: x86-64.
pub fn page_bytes() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as usize)
}
