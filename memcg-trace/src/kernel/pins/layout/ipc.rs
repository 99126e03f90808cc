//! IPC namespaces and their System V segments.

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
        /// 4.20 (f8d5d0cc145c); before, its radix tree has the same nodes under other names.
        root: "ipcs_idr.idr_rt.xa_head",
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
        Self {
            namespace: IpcNamespaceLayout::of(types),
            ids: IpcIdsLayout::of(types),
            ids_size: types.size("ipc_ids").unwrap_or(0),
            segment: SegmentLayout::of(types),
            node: IdrNodeLayout::of(types),
        }
    }
}
