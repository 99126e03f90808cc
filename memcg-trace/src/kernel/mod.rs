//! Everything that differs between kernels: what the structs look like, where the memory controller is, which hooks can
//! be attached, what the process may do. Facts are probed; no version is ever compared. Nowhere else.

pub mod answer;
pub mod attach;
pub mod boot;
pub mod cgroup;
pub mod clock;
pub mod controller;
pub mod counted;
pub mod counters;
pub mod hierarchies;
pub mod kcore;
pub mod kmem;
pub mod layout;
pub mod missed;
pub mod objects;
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
use memcg_trace_common::WalkLayout;
use nix::unistd::{SysconfVar, sysconf};

use self::{
    controller::Controller,
    counters::{CountersError, Packed},
    layout::Resolved,
    proof::{ProofError, Proven},
    walk::Walk,
};

/// What every command needs to know before it reads kernel memory.
pub struct Kernel {
    pub controller: Controller,
    pub layout: WalkLayout,
    packed: Option<Packed>,
    /// Address of the `cgroup_root` that carries the memory controller; 0: not known.
    pub memory_root: u64,
}

impl Kernel {
    /// Checks privileges, finds the controller, resolves the layout (from `btf`, or from the kernel itself) and proves it.
    pub fn probe(btf: Option<&Path>) -> Result<Self> {
        privileges::check()?;
        privileges::raise_memlock();
        let controller = Controller::find()?;
        let resolved = layout::resolve(btf)?;
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
        let Resolved { layout, packed } = resolved;
        Ok(Self { controller, layout, packed, memory_root })
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

    /// The walk, where this kernel allows it; otherwise says why not.
    pub fn walk(&self) -> Option<Walk> {
        Walk::load(&self.layout)
            .inspect_err(|error| log::warn!("what exists already is not known: {error}"))
            .ok()
    }
}

/// The unit of page counters; 4 KiB where sysconf does not tell: x86-64.
pub fn page_bytes() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as usize)
}
