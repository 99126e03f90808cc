//! Swap devices, the records of whose entries are on them, and who has these.

use memcg_trace_common::ABSENT;

use super::offsets;
use crate::kernel::layout::Types;

offsets! {
    /// A device.
    SwapInfoLayout of "swap_info_struct" {
        flags: "flags",
        pages: "pages",
        max: "max",
        clusters: "cluster_info",
    }
}

offsets! {
    /// Memcg IDs of a device's entries: pages of them, up to 6.12.
    SwapRecordsLayout of "swap_cgroup_ctrl" {
        pages: "map",
        /// Absent where the map is one array of its own (6.13).
        length: "length",
    }
}

offsets! {
    /// The same since 7.2: an array for each cluster in use.
    SwapClusterLayout of "swap_cluster_info" {
        ids: "memcg_table",
    }
}

offsets! {
    /// A file on a tmpfs.
    ShmemLayout of "shmem_inode_info" {
        /// The node in the list of those with swapped pages.
        swapped: "swaplist",
        inode: "vfs_inode",
    }
}

offsets! {
    XarrayNodeLayout of "xa_node" {
        shift: "shift",
        slots: "slots",
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct SwapLayout {
    pub info: SwapInfoLayout,
    pub records: SwapRecordsLayout,
    /// Bytes of the records of one device, and of one ID there: 2, a `struct swap_cgroup`.
    pub records_size: u32,
    pub id_size: u32,
    pub cluster: SwapClusterLayout,
    pub cluster_size: u32,
    /// Bytes of the array of one cluster.
    pub ids_size: u32,
    pub shmem: ShmemLayout,
    pub node: XarrayNodeLayout,
    /// `mm_struct.pgd`
    pub tables: u32,
    /// Number of swapped pages of a process, not exact where CPUs count on their own.
    pub swapped: u32,
}

/// `MM_SWAPENTS` (include/linux/mm_types_task.h).
const SWAPENTS: u32 = 2;

impl SwapLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let size = |name| types.size(name).unwrap_or(ABSENT);
        let exact = types.offset("mm_struct", "rss_stat.count").map(|counts| counts + 8 * SWAPENTS);
        let by_cpu = || {
            let counter = types.size("percpu_counter")?;
            let count = types.offset("percpu_counter", "count")?;
            Some(types.offset("mm_struct", "rss_stat")? + SWAPENTS * counter + count)
        };
        Self {
            info: SwapInfoLayout::of(types),
            records: SwapRecordsLayout::of(types),
            records_size: size("swap_cgroup_ctrl"),
            id_size: size("swap_cgroup"),
            cluster: SwapClusterLayout::of(types),
            cluster_size: size("swap_cluster_info"),
            ids_size: size("swap_memcg_table"),
            shmem: ShmemLayout::of(types),
            node: XarrayNodeLayout::of(types),
            tables: types.optional("mm_struct", "pgd"),
            swapped: exact.or_else(by_cpu).unwrap_or(ABSENT),
        }
    }
}
