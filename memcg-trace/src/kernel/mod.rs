//! Everything that differs between kernels, and nowhere else: struct layouts, the hierarchy of the memory controller,
//! the hooks that can be attached, privileges. Facts are probed; versions are never compared.

pub mod ability;
pub mod boot;
pub mod cgroupfs;
pub mod clock;
pub mod confinement;
pub mod hooks;
mod landlock;
pub mod layout;
pub mod memory;
pub mod mountinfo;
pub mod own_cost;
pub mod pins;
pub mod pod;
pub mod privileges;
pub mod refused;
mod seccomp;
pub mod slab;
pub mod walk;

use std::path::{Path, PathBuf};

use anyhow::Result;
use memcg_trace_common::{ABSENT, DentryLayout, WalkLayout};
use nix::unistd::{SysconfVar, sysconf};

use self::{
    cgroupfs::{
        hierarchy::{Census, Controller},
        limit,
    },
    hooks::{css_callbacks::Callbacks, plan::KernelKind},
    layout::{
        LayoutError, Resolved, el7,
        proof::{self, ProofError, Proven},
        vmstats::{CountersError, Packed},
    },
    slab::memcg_caches::{self, CacheLayout, CachesError, MemcgCaches},
    walk::{
        Walk, WalkError,
        members::{self, WrongMember},
    },
};

/// Facts that every command needs before it reads kernel memory.
pub struct Kernel {
    pub controller: Controller,
    pub callbacks: Callbacks,
    pub layout: WalkLayout,
    /// Known on kernels whose cgroups are dentries (3.10).
    pub dentry: DentryLayout,
    packed: Option<Packed>,
    /// Known on kernels whose memcgs have their own slab caches (up to 5.8).
    caches: Option<CacheLayout>,
    /// Address of the `cgroup_root` that carries the memory controller; 0: not known.
    pub memory_root: u64,
    /// Path of the root of our cgroup namespace in the hierarchy; `None`: not known.
    pub namespace_root: Option<PathBuf>,
}

impl Kernel {
    /// Checks privileges, finds the controller, resolves the layout (from `btf`, or from the kernel itself) and proves it.
    pub fn probe(btf: Option<&Path>) -> Result<Self> {
        privileges::check()?;
        privileges::raise_limits();
        let controller = Controller::find()?;
        limit::warn_if_low(&controller);
        let callbacks = Callbacks::find();
        // Such kernels (3.10) have no css parents, no serial numbers and no BTF.
        if callbacks == Callbacks::Cgroup {
            if btf.is_some() {
                log::warn!("ignoring --btf: the struct layout of this kernel is built in");
            }
            return Ok(Self::by_cgroup(&controller).unwrap_or_else(|error| {
                log::warn!("identifying memcgs by address only: {error}");
                Self::without_layout(controller, callbacks)
            }));
        }
        let resolved = match layout::resolve(btf) {
            Err(error @ LayoutError::NoBtf) => {
                log::warn!("identifying memcgs by address only: {error}");
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
        let kernel = Self::proven(controller, resolved, proof, btf.is_none())?;
        if btf.is_some() {
            kernel.prove_members()?;
        }
        Ok(kernel)
    }

    /// Proves the members of a layout from a BTF file by a walk, where this kernel allows one.
    pub fn prove_members(&self) -> Result<(), ProofError> {
        let whole = self.controller.wholly_mounted(self.namespace_root.as_deref()).is_ok();
        let proven = self.load_walk().and_then(|mut walk| members::prove(&mut walk, &self.controller, whole));
        match proven {
            Ok(None) => Ok(()),
            Ok(Some(WrongMember { member, reads })) => Err(ProofError::WrongMember { member, reads }),
            Err(error) => {
                log::warn!("the members of --btf are not proven: {error}");
                Ok(())
            }
        }
    }

    /// Accepts a layout that is proven. The kernel's `own` BTF is also accepted where a proof is impossible; a file is
    /// not.
    pub fn proven(
        controller: Controller,
        resolved: Resolved,
        proof: Result<Proven, ProofError>,
        own: bool,
    ) -> Result<Self, ProofError> {
        let Proven { memory_root, namespace_root } = match proof {
            Ok(proven) => proven,
            Err(ProofError::Impossible(_)) if own => Proven { memory_root: 0, namespace_root: None },
            Err(error) => return Err(error),
        };
        let Resolved { layout, packed, caches } = resolved;
        let (callbacks, dentry) = (Callbacks::Css, DentryLayout::NONE);
        Ok(Self { controller, callbacks, layout, dentry, packed, caches, memory_root, namespace_root })
    }

    /// A kernel whose struct layout is unknown: the hooks only see their arguments.
    pub fn without_layout(controller: Controller, callbacks: Callbacks) -> Self {
        let (layout, dentry) = (WalkLayout::UNKNOWN, DentryLayout::NONE);
        // Proven on first read.
        let caches = match callbacks {
            Callbacks::Css => None,
            Callbacks::Cgroup => Some(memcg_caches::BY_CGROUP),
        };
        let (memory_root, namespace_root) = (0, None);
        Self { controller, callbacks, layout, dentry, packed: None, caches, memory_root, namespace_root }
    }

    /// A kernel whose callbacks take cgroups: uses the one built-in layout, if it can be proven.
    pub fn by_cgroup(controller: &Controller) -> Result<Self, ProofError> {
        let (layout, dentry) = el7::prove(controller)?;
        let layout = WalkLayout { layout, ..WalkLayout::UNKNOWN };
        Ok(Self { layout, dentry, ..Self::without_layout(controller.clone(), Callbacks::Cgroup) })
    }

    /// The existing cgroups. The dying ones are not counted where memcgs outlive their cgroups (3.10).
    pub fn census(&self) -> Census {
        let census = self.controller.census();
        let dying = census.dying.filter(|_| self.callbacks == Callbacks::Css);
        Census { dying, ..census }
    }

    /// Adds the offsets of the charge counters to the layout where BTF does not have them. Reads all of /proc/kallsyms.
    pub fn find_counters(&mut self) -> Result<(), CountersError> {
        if let Some(packed) = self.packed {
            self.layout.kinds = packed.offsets()?;
            self.packed = None;
        }
        Ok(())
    }

    /// The memory that our process may use, in bytes; `None`: no limit is seen.
    pub fn memory_limit(&self) -> Option<u64> {
        limit::own_limit(&self.controller, self.namespace_root.as_deref())
    }

    /// The facts that select the hooks.
    pub fn kind(&self) -> KernelKind {
        KernelKind { callbacks: self.callbacks, blind: self.layout.layout.css_cgroup == ABSENT }
    }

    /// The best kind of walk that this kernel allows.
    pub fn load_walk(&self) -> Result<Walk, WalkError> {
        match (self.callbacks, self.dentry) {
            (Callbacks::Css, _) => Walk::load(&self.layout),
            (Callbacks::Cgroup, DentryLayout::NONE) => {
                Err(WalkError::NoIds("the layout is not proven".into()))
            }
            (Callbacks::Cgroup, dentry) => Walk::by_ids(&dentry),
        }
    }

    /// The slab caches of memcgs; `None`: memcgs do not have their own, or their layout is unknown.
    pub fn memcg_caches(&self) -> Result<Option<MemcgCaches>, CachesError> {
        self.caches.map(MemcgCaches::open).transpose()
    }

    /// The walk, if this kernel allows it; otherwise logs the reason.
    pub fn walk(&self) -> Option<Walk> {
        self.load_walk().inspect_err(|error| log::warn!("cannot list existing memcgs: {error}")).ok()
    }
}

/// Page size, the unit of page counters: 4 KiB on x86-64, up to 64 KiB on arm64; 4 KiB if sysconf fails.
pub fn page_bytes() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as usize)
}
