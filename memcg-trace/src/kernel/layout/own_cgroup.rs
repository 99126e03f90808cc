//! The two sides of a layout's proof: our own cgroup read through the layout, and according to /proc/self/cgroup.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::PathBuf};

use memcg_trace_common::EventHeader;

use crate::kernel::cgroupfs::hierarchy;

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

/// Our own path in the hierarchy of the memory controller, from /proc/self/cgroup.
pub fn own_path() -> PathBuf {
    let lines = fs::read("/proc/self/cgroup").unwrap_or_default();
    PathBuf::from(OsStr::from_bytes(hierarchy::memory_path(&lines).unwrap_or(b"/")))
}
