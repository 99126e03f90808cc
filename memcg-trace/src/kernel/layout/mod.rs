//! Offsets of kernel structs, resolved from BTF.

mod btf;
pub mod btf_file;
mod counter_index;
pub mod el7;
mod own_cgroup;
pub mod proof;
mod proof_by_kcore;
pub mod vmstats;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use memcg_trace_common::{ABSENT, KINDS, LEAF_SLOTS, Layout, SlabLayout, WalkLayout};
use thiserror::Error;

use self::{
    btf::Btf,
    vmstats::{KIND_ITEMS, Packed},
};
use super::{
    ability::Lack,
    pod,
    slab::memcg_caches::{CacheLayout, Params},
};

/// BTF of the running kernel (5.2, CONFIG_DEBUG_INFO_BTF).
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The reason why there is no layout.
#[derive(Debug, Error)]
pub enum LayoutError {
    #[error(
        "this kernel has no BTF ({KERNEL_BTF} does not exist); provide a BTF file of exactly this kernel \
         with --btf FILE (BTFHub has them for many distribution kernels)"
    )]
    NoBtf,
    #[error(
        "cannot read BTF from {path}: {reason}; provide raw BTF, a vmlinux with a section .BTF or a .btf.tar.xz from BTFHub \
         with --btf FILE"
    )]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path} has no {member}: it does not describe a kernel with memory cgroups; check --btf")]
    Missing { path: PathBuf, member: &'static str },
}

impl Lack for LayoutError {
    fn manifest(&self) -> Option<&'static str> {
        let hidden = matches!(self, Self::NoBtf) && !Path::new("/sys/kernel").exists();
        hidden.then_some(pod::SYS_MOUNT)
    }

    fn next_step(&self) -> String {
        match self {
            Self::NoBtf => {
                "provide a BTF file of exactly this kernel with --btf FILE (BTFHub has them for many distribution kernels)"
            }
            Self::Unreadable { .. } => {
                "provide raw BTF, a vmlinux with a section .BTF or a .btf.tar.xz from BTFHub with --btf FILE"
            }
            Self::Missing { .. } => "check --btf",
        }
        .to_owned()
    }
}

/// The layouts resolved from BTF.
#[derive(Clone, Copy, Debug)]
pub struct Resolved {
    pub layout: WalkLayout,
    /// Set if the counters are packed: then BTF does not have their offsets, and they are absent from the layout.
    pub packed: Option<Packed>,
    /// `None`: memcgs do not have their own slab caches (since 5.9).
    pub caches: Option<CacheLayout>,
}

/// Resolves the layout from `file`, or from the running kernel. Members that only the walk needs may be absent.
pub fn resolve(file: Option<&Path>) -> Result<Resolved, LayoutError> {
    Types::of(file)?.resolve()
}

/// Resolves the members that the slab hooks read, from `file` or from the running kernel. All of them may be absent.
pub fn resolve_slab(file: Option<&Path>) -> Result<SlabLayout, LayoutError> {
    let types = Types::of(file)?;
    Ok(SlabLayout {
        name: types.optional("kmem_cache", "name"),
        size: types.optional("kmem_cache", "size"),
        object_size: types.optional("kmem_cache", "object_size"),
        flags: types.optional("kmem_cache", "flags"),
        refcount: types.optional("kmem_cache", "refcount"),
        css_serial: types.optional("cgroup_subsys_state", "serial_nr"),
        module_name: types.optional("module", "name"),
        reserved: 0,
    })
}

/// The kernel's BTF, and the file that has it.
pub(super) struct Types<'a> {
    btf: Btf,
    path: &'a Path,
}

impl<'a> Types<'a> {
    pub(super) fn of(file: Option<&'a Path>) -> Result<Self, LayoutError> {
        let path = file.unwrap_or(Path::new(KERNEL_BTF));
        if file.is_none() && !path.exists() {
            return Err(LayoutError::NoBtf);
        }
        let unreadable = |reason: String| LayoutError::Unreadable { path: path.to_owned(), reason };
        let bytes = btf_file::read(path).map_err(|error| unreadable(error.to_string()))?;
        let btf = Btf::of(bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { btf, path })
    }
}

impl Types<'_> {
    fn layout(&self) -> Result<Layout, LayoutError> {
        // Otherwise the css's address would not be the memcg's. It is the first member on every kernel since 3.6.
        if self.offset("mem_cgroup", "css") != Some(0) {
            return Err(self.missing("struct mem_cgroup that starts with its css"));
        }
        let memory = self.memory_cgrp_id().ok_or_else(|| self.missing("enum value memory_cgrp_id"))?;
        let slot = (size_of::<u64>() as u32).saturating_mul(memory);
        // A union until 5.4.
        let split = self.offset("kernfs_node", "id.ino").is_some();
        Ok(Layout {
            css_cgroup: self.required("cgroup_subsys_state", "cgroup")?,
            css_ss: self.required("cgroup_subsys_state", "ss")?,
            css_percpu_count_ptr: self.optional("cgroup_subsys_state", "refcnt.percpu_count_ptr"),
            css_ref_data: self.optional("cgroup_subsys_state", "refcnt.data"),
            css_ref_count: self.optional("cgroup_subsys_state", "refcnt.count"),
            css_id: self.optional("cgroup_subsys_state", "id"),
            css_flags: self.optional("cgroup_subsys_state", "flags"),
            css_serial: self.required("cgroup_subsys_state", "serial_nr")?,
            css_parent: self.required("cgroup_subsys_state", "parent")?,
            ref_data_count: self.optional("percpu_ref_data", "count"),
            memcg_id: self.optional("mem_cgroup", "id.id"),
            memcg_id_ref: self.optional("mem_cgroup", "id.ref"),
            memcg_usage: self.optional("mem_cgroup", "memory.usage"),
            cgroup_level: self.optional("cgroup", "level"),
            cgroup_kn: self.required("cgroup", "kn")?,
            cgroup_root: self.required("cgroup", "root")?,
            cgroup_memory: self.required("cgroup", "subsys")?.saturating_add(slot),
            kn_id: self.required("kernfs_node", "id")?,
            kn_id_bits: if split { u32::BITS } else { u64::BITS },
            kn_name: self.required("kernfs_node", "name")?,
            // `__parent` since 6.15 (741c10b096bc "kernfs: Use RCU to access kernfs_node::parent").
            kn_parent: self
                .offset("kernfs_node", "__parent")
                .map_or_else(|| self.required("kernfs_node", "parent"), Ok)?,
            ss_name: self.required("cgroup_subsys", "name")?,
            task_cgroups: self.required("task_struct", "cgroups")?,
            css_set_memory: self.required("css_set", "subsys")?.saturating_add(slot),
        })
    }

    fn resolve(&self) -> Result<Resolved, LayoutError> {
        let layout = self.layout()?;
        let (kinds, packed) = self.counters();
        // A radix tree before 4.20, whose nodes are linked in the same way.
        let head = self.offset("idr", "idr_rt.xa_head").or_else(|| self.offset("idr", "idr_rt.rnode"));
        let idr = self.offset("cgroup_subsys", "css_idr").zip(head);
        let node =
            ["xa_node", "radix_tree_node"].into_iter().find(|node| self.offset(node, "slots").is_some());
        let node = node.unwrap_or_default();
        // The walk does not support other chunk sizes (CONFIG_BASE_SMALL).
        let leaf = self.array_length(node, "slots") == Some(LEAF_SLOTS);
        // The array itself; since 5.13 in a struct (2d146aa3aa84), which since 6.1 is behind a pointer (410f8e82689e).
        let (vmstats, state) = match self.offset("mem_cgroup", "vmstats.state") {
            Some(array) => (array, ABSENT),
            None => (self.optional("mem_cgroup", "vmstats"), self.optional("memcg_vmstats", "state")),
        };
        let layout = WalkLayout {
            layout,
            css_idr: idr.filter(|_| leaf).map_or(ABSENT, |(idr, head)| idr.saturating_add(head)),
            xa_shift: self.optional(node, "shift"),
            xa_slots: self.optional(node, "slots"),
            swap: self.optional("mem_cgroup", "swap.usage"),
            kmem: self.optional("mem_cgroup", "kmem.usage"),
            tcpmem: self.optional("mem_cgroup", "tcpmem.usage"),
            vmstats,
            state,
            kinds,
            cgroup_descendants: self.optional("cgroup", "nr_descendants"),
            // Per css since 7.2: the cgroup's own css (`cgroup.self`) counts all.
            cgroup_populated: self
                .offset("cgroup", "self.nr_populated_csets")
                .unwrap_or_else(|| self.optional("cgroup", "nr_populated_csets")),
        };
        Ok(Resolved { layout, packed, caches: self.caches() })
    }

    fn caches(&self) -> Option<CacheLayout> {
        let member = |member| self.offset("kmem_cache", member);
        let (memcg, root_cache) = (member("memcg_params.memcg")?, member("memcg_params.root_cache")?);
        let params = Params::Embedded { memcg, root_cache };
        Some(CacheLayout { name: member("name")?, list: member("list")?, params, hold: false })
    }

    /// Offsets of the counters: one per item, or packed since 6.10 (ff48c71c26aa).
    fn counters(&self) -> ([u32; KINDS], Option<Packed>) {
        let absent = [ABSENT; KINDS];
        let kept = self
            .array_length("memcg_vmstats", "state")
            .or_else(|| self.array_length("mem_cgroup", "vmstats"));
        let all = self.enum_value("memcg_stat_item", "MEMCG_NR_STAT");
        let (Some(kept), Some(all)) = (kept, all) else { return (absent, None) };
        let mut items = absent;
        for (kind, item) in KIND_ITEMS {
            let number =
                self.enum_value("node_stat_item", item).or_else(|| self.enum_value("memcg_stat_item", item));
            let place = &mut items[*kind as usize];
            *place = if *place == ABSENT { number.unwrap_or(ABSENT) } else { *place };
        }
        let packed = Packed { items, all: all as usize, kept };
        match packed.all == packed.kept {
            true => (vmstats::unpacked(&items), None),
            false => (absent, Some(packed)),
        }
    }

    fn required(&self, name: &'static str, member: &'static str) -> Result<u32, LayoutError> {
        self.offset(name, member).ok_or_else(|| self.missing(member))
    }

    pub(super) fn optional(&self, name: &str, member: &str) -> u32 {
        self.offset(name, member).unwrap_or(ABSENT)
    }

    fn missing(&self, member: &'static str) -> LayoutError {
        LayoutError::Missing { path: self.path.to_owned(), member }
    }

    fn memory_cgrp_id(&self) -> Option<u32> {
        self.enum_value("cgroup_subsys_id", "memory_cgrp_id")
    }
}

impl Deref for Types<'_> {
    type Target = Btf;

    fn deref(&self) -> &Btf {
        &self.btf
    }
}
