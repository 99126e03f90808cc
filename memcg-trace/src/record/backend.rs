//! The backends: sets of hooks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The set of hooks that feeds the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The css callbacks of the memory controller, and `cgroup_rmdir`.
    Kprobe,
    /// `cgroup_mkdir`, `cgroup_rmdir` and `cgroup_release`.
    Tracepoint,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        })
    }
}
