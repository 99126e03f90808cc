//! What a proof compares: our own cgroup as a layout makes it out, and as the kernel itself tells.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::PathBuf};

use memcg_trace_common::EventHeader;

use crate::kernel::cgroupfs::hierarchy;

/// Our own task's memory css and the root's above it, as the layout has them.
pub struct OwnCgroup {
    /// Name of the css's subsystem: `memory`, if the layout is right.
    pub controller: Vec<u8>,
    /// As the kernel sees it, from the hierarchy's root.
    pub path: PathBuf,
    /// The path reached the root.
    pub complete: bool,
    pub cgroup_id: u64,
    /// Address of the `cgroup_root`.
    pub root: u64,
    pub root_css: EventHeader,
}

/// Our own path in the hierarchy of the memory controller, as /proc/self/cgroup has it.
pub fn own_path() -> PathBuf {
    let lines = fs::read("/proc/self/cgroup").unwrap_or_default();
    PathBuf::from(OsStr::from_bytes(hierarchy::memory_path(&lines).unwrap_or(b"/")))
}
