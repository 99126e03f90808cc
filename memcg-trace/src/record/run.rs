//! Facts about a run besides its records. A live run collects them, a recording stores them; outputs take them from
//! here, so that both show the same.

use std::collections::HashMap;

use memcg_trace_common::WalkLayout;
use serde::{Deserialize, Serialize};

use super::{Backend, Clock};

/// Facts from before the first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Kernel release.
    pub kernel: String,
    /// Boot id of the recorded boot; addresses and serial numbers are only valid within it.
    pub boot_id: Option<String>,
    /// Version and mount point of the memory controller's hierarchy.
    pub controller: String,
    pub backend: Backend,
    /// The reason for using this backend and not a better one.
    pub backend_reason: Option<String>,
    /// What is unknown because an optional hook is missing, and the reason.
    pub unknown: Vec<(String, String)>,
    pub page_bytes: u64,
    /// Pages per CPU's perf buffer.
    pub perf_pages: u64,
    pub layout: WalkLayout,
    pub clock: Clock,
    /// `CLOCK_MONOTONIC`, ns.
    pub started_ns: u64,
    pub grace_ns: u64,
    /// Number of live memcgs that no walk will report, the root included; `None`: not counted.
    pub live: Option<u64>,
    /// Number of dying memcgs that no walk will report; `None`: not counted.
    pub dying_unseen: Option<u64>,
    /// Paths of cgroups that no walk will report, by cgroup id. Stored outside the JSON, as they are bytes.
    #[serde(skip)]
    pub paths: HashMap<u64, Box<[u8]>>,
    /// `None`: the recording is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<RunSegment>,
}

/// What part of a rotation a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSegment {
    /// When the run started, `CLOCK_MONOTONIC`, ns: the runs of one boot differ in it.
    pub run_ns: u64,
    /// The first of a run is 0; it begins with a walk, all others with a checkpoint.
    pub number: u32,
}

impl Start {
    /// Whether a walk of what exists comes first: without one, it is known by its paths and its number alone.
    pub fn is_walked(&self) -> bool {
        self.dying_unseen == Some(0)
    }

    /// Whether it is of the same boot, and so clocks, addresses and serial numbers are the same.
    pub fn is_of_same_boot(&self, other: &Self) -> bool {
        self.boot_id.is_some() && self.boot_id == other.boot_id
    }
}

/// Facts from after the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `CLOCK_MONOTONIC`, ns.
    pub ended_ns: u64,
    /// The offsets at the end; they may have changed since the start.
    pub clock: Clock,
    /// Number of records in the perf buffers that were not events of this ABI.
    pub undecodable: u64,
}
