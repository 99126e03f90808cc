//! What a proof of a layout compares with /proc/self/cgroup: our own cgroup, read through the layout.

use std::path::PathBuf;

use memcg_trace_common::EventHeader;

/// The memory css of our own task and the root css, read through the layout.
pub struct OwnCgroup {
    /// Name of the css's subsystem: `memory`, if the layout is right.
    pub controller: Vec<u8>,
    /// Path from the root of the hierarchy.
    pub path: PathBuf,
    /// Whether the path reached the root.
    pub complete: bool,
    pub cgroup_id: u64,
    /// Address of the `cgroup_root`.
    pub root: u64,
    pub root_css: EventHeader,
}
