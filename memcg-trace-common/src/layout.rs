//! Offsets of members in the running kernel's structs. Resolved from BTF by the loader, used by the programs.

use zerocopy::FromBytes;

/// Offset of a member that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// `percpu_ref.percpu_count_ptr`: the refcount is dying (`__PERCPU_REF_DEAD`, include/linux/percpu-refcount.h).
pub const PERCPU_REF_DEAD: u64 = 2;
/// Set in the count of a dying refcount until the per-CPU counts have been added to it (lib/percpu-refcount.c).
pub const PERCPU_COUNT_BIAS: u64 = 1 << 63;

/// Byte offsets into kernel structs; [`ABSENT`] where the kernel has no such member.
///
/// `struct mem_cgroup` starts with its css on every kernel (checked when the layout is resolved), so the css address is
/// the memcg's address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes)]
#[cfg_attr(feature = "loader", derive(serde::Serialize, serde::Deserialize))]
pub struct Layout {
    /// `cgroup_subsys_state.cgroup`
    pub css_cgroup: u32,
    /// `cgroup_subsys_state.ss`
    pub css_ss: u32,
    /// `cgroup_subsys_state.refcnt.percpu_count_ptr`
    pub css_percpu_count_ptr: u32,
    /// `cgroup_subsys_state.refcnt.data` (5.11, also in stable 5.10)
    pub css_ref_data: u32,
    /// `cgroup_subsys_state.refcnt.count` (before 2b0d3d3e4fcf "percpu_ref: reduce memory footprint of percpu_ref in fast path")
    #[cfg_attr(feature = "loader", serde(default = "absent"))]
    pub css_ref_count: u32,
    /// `cgroup_subsys_state.id`
    pub css_id: u32,
    /// `cgroup_subsys_state.flags`
    pub css_flags: u32,
    /// `cgroup_subsys_state.serial_nr`
    pub css_serial: u32,
    /// `cgroup_subsys_state.parent`
    pub css_parent: u32,
    /// `percpu_ref_data.count`
    pub ref_data_count: u32,
    /// `mem_cgroup.id.id`
    pub memcg_id: u32,
    /// `mem_cgroup.id.ref`
    pub memcg_id_ref: u32,
    /// `mem_cgroup.memory.usage`, in pages
    pub memcg_usage: u32,
    /// `cgroup.level`
    pub cgroup_level: u32,
    /// `cgroup.kn`
    pub cgroup_kn: u32,
    /// `cgroup.root`
    pub cgroup_root: u32,
    /// `cgroup.subsys[memory_cgrp_id]`
    pub cgroup_memory: u32,
    /// `kernfs_node.id`, which contains the inode number of the directory
    pub kn_id: u32,
    /// Number of bits of the inode number in it: 64 since 5.5 (67c0496e87d1 "kernfs: convert kernfs_node->id from union
    /// kernfs_node_id to u64"), 32 before, with a generation above them.
    #[cfg_attr(feature = "loader", serde(default = "whole_word"))]
    pub kn_id_bits: u32,
    /// `kernfs_node.name`
    pub kn_name: u32,
    /// `kernfs_node.parent`, `__parent` since 6.15
    pub kn_parent: u32,
    /// `cgroup_subsys.name`
    pub ss_name: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `css_set.subsys[memory_cgrp_id]`
    pub css_set_memory: u32,
}

/// Additional offsets for kernels whose csses have no parent pointer and whose cgroups are not kernfs nodes (3.10):
/// parents are found through cgroups, and a directory is a dentry, which replaces `cgroup.kn` in [`Layout`] but has no
/// id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DentryLayout {
    /// `cgroup.parent`
    pub cgroup_parent: u32,
    /// `dentry.d_inode`
    pub dentry_inode: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
}

impl DentryLayout {
    /// For kernels without these members.
    pub const NONE: Self = Self { cgroup_parent: ABSENT, dentry_inode: ABSENT, inode_number: ABSENT };
}

/// The one value of the `CONFIG` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// [`crate::ABI`] of the loader.
    pub abi: u32,
    pub dentry: DentryLayout,
    /// Address of the `cgroup_root` that carries the memory controller; 0: unknown, tracepoints of all hierarchies
    /// pass.
    pub memory_root: u64,
    pub layout: Layout,
}

impl Layout {
    /// A layout without any offsets.
    pub const UNKNOWN: Self = Self {
        css_cgroup: ABSENT,
        css_ss: ABSENT,
        css_percpu_count_ptr: ABSENT,
        css_ref_data: ABSENT,
        css_ref_count: ABSENT,
        css_id: ABSENT,
        css_flags: ABSENT,
        css_serial: ABSENT,
        css_parent: ABSENT,
        ref_data_count: ABSENT,
        memcg_id: ABSENT,
        memcg_id_ref: ABSENT,
        memcg_usage: ABSENT,
        cgroup_level: ABSENT,
        cgroup_kn: ABSENT,
        cgroup_root: ABSENT,
        cgroup_memory: ABSENT,
        kn_id: ABSENT,
        kn_id_bits: u64::BITS,
        kn_name: ABSENT,
        kn_parent: ABSENT,
        ss_name: ABSENT,
        task_cgroups: ABSENT,
        css_set_memory: ABSENT,
    };

    /// The inode number in a `kernfs_node.id`.
    #[inline(always)]
    pub const fn inode_number(&self, kn_id: u64) -> u64 {
        if self.kn_id_bits == u32::BITS { kn_id as u32 as u64 } else { kn_id }
    }
}

// Defaults for recordings made before these members existed.

#[cfg(feature = "loader")]
fn whole_word() -> u32 {
    u64::BITS
}

#[cfg(feature = "loader")]
fn absent() -> u32 {
    ABSENT
}

const _: () = assert!(size_of::<Layout>() == 24 * 4);
const _: () = assert!(size_of::<Config>() == 24 + size_of::<Layout>());
