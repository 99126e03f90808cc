//! What a run knows besides its records. A live run finds it out, a recording has kept it; whoever shows the run takes it
//! from here, so that both show the same.

use std::collections::HashMap;

use memcg_trace_common::WalkLayout;
use serde::{Deserialize, Serialize};

use super::{Backend, Clock};

/// Before the first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Release of the kernel.
    pub kernel: String,
    /// Tells whether two recordings are of one boot; addresses and serial numbers mean nothing beyond it.
    pub boot_id: Option<String>,
    /// Version and mount point of the hierarchy that carries the memory controller.
    pub controller: String,
    pub backend: Backend,
    /// Why this backend and no better one.
    pub backend_reason: Option<String>,
    /// What is not known because an optional hook is missing, and why it is.
    pub unknown: Vec<(String, String)>,
    pub page_bytes: u64,
    /// Pages of each CPU's perf buffer.
    pub perf_pages: u64,
    pub layout: WalkLayout,
    pub clock: Clock,
    /// `CLOCK_MONOTONIC`, ns.
    pub started_ns: u64,
    pub grace_ns: u64,
    /// How many memcgs that no walk will bring were live, the root included; `None`: not counted.
    pub live: Option<u64>,
    /// Memcgs that were dying and that no walk will bring; `None`: not counted.
    pub dying_unseen: Option<u64>,
    /// Path of each cgroup that no walk will bring, by cgroup id. Bytes, so not part of the text.
    #[serde(skip)]
    pub paths: HashMap<u64, Box<[u8]>>,
}

/// After the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `CLOCK_MONOTONIC`, ns.
    pub ended_ns: u64,
    /// The clock may have been set, or the machine suspended, since the start.
    pub clock: Clock,
    /// Records of the perf buffers that were not events of this ABI.
    pub undecodable: u64,
}
