//! IPC namespaces and their System V segments.

use memcg_trace_common::ABSENT;

use super::offsets;
use crate::kernel::layout::Types;

offsets! {
    IpcNamespaceLayout of "ipc_namespace" {
        common: "ns",
        /// One `struct ipc_ids` for each kind of object.
        ids: "ids",
    }
}

offsets! {
    IpcIdsLayout of "ipc_ids" {
        /// A radix tree before 4.20 (f8d5d0cc145c), whose nodes are linked in the same way.
        root: "ipcs_idr.idr_rt.xa_head" | "ipcs_idr.idr_rt.rnode",
    }
}

offsets! {
    SegmentLayout of "shmid_kernel" {
        file: "shm_file",
    }
}

offsets! {
    IdrNodeLayout of "xa_node" {
        shift: "shift",
        slots: "slots",
    }
}

offsets! {
    /// The same before 4.20.
    RadixNodeLayout of "radix_tree_node" {
        shift: "shift",
        slots: "slots",
    }
}

/// What leads from a namespace to its segments.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct IpcLayout {
    pub namespace: IpcNamespaceLayout,
    pub ids: IpcIdsLayout,
    /// `sizeof(struct ipc_ids)`
    pub ids_size: u32,
    pub segment: SegmentLayout,
    pub node: IdrNodeLayout,
}

impl IpcLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let node = IdrNodeLayout::of(types);
        let older = RadixNodeLayout::of(types);
        let older = IdrNodeLayout { shift: older.shift, slots: older.slots };
        Self {
            namespace: IpcNamespaceLayout::of(types),
            ids: IpcIdsLayout::of(types),
            ids_size: types.size("ipc_ids").unwrap_or(0),
            segment: SegmentLayout::of(types),
            node: if node.slots == ABSENT { older } else { node },
        }
    }
}
