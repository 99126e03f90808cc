//! Which hooks feed a run, and how a walk reads the kernel.

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

/// How the table of memcgs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WalkMeans {
    /// By an eBPF program, on demand.
    #[serde(rename = "walk")]
    Program,
    /// Through /proc/kcore.
    Kcore,
    /// By memcg ID, through /proc/kcore: where memcgs outlive their cgroups.
    Ids,
}

impl fmt::Display for WalkMeans {
    /// As people say it: "walk by program".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Program => "by program",
            Self::Kcore => "through /proc/kcore",
            Self::Ids => "by memcg ID",
        })
    }
}
