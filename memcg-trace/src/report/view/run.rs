//! Facts about a run that the ledger does not have.

use crate::{
    record::{Backend, End, Start},
    session::CgroupGlob,
    tracker::{Memcg, Tracker},
};

/// Facts for the summary that are not in the ledger.
#[derive(Clone, Debug)]
pub struct Run {
    pub backend: Backend,
    /// The reason for using this backend and not a better one.
    pub backend_reason: Option<String>,
    /// What is unknown, and the reason, usually a missing optional hook.
    pub unknown: Vec<(String, String)>,
    /// `CLOCK_MONOTONIC`, ns.
    pub started_ns: u64,
    pub ended_ns: u64,
    pub grace_ns: u64,
    /// Records that were not events of this ABI.
    pub undecodable: u64,
    /// Pages per CPU's perf buffer.
    pub perf_pages: Option<u64>,
    /// Whether this is a truncated recording.
    pub cut_off: bool,
    /// `--cgroup`: the paths of the memcgs that are listed; counts are of all.
    pub cgroup: Option<CgroupGlob>,
}

impl Run {
    /// A run that has just started.
    pub fn of(start: &Start) -> Self {
        Self {
            backend: start.backend,
            backend_reason: start.backend_reason.clone(),
            unknown: start.unknown.clone(),
            started_ns: start.started_ns,
            ended_ns: start.started_ns,
            grace_ns: start.grace_ns,
            undecodable: 0,
            perf_pages: Some(start.perf_pages),
            cut_off: false,
            cgroup: None,
        }
    }

    /// It was completed.
    pub fn end(&mut self, end: &End) {
        (self.ended_ns, self.undecodable) = (end.ended_ns, end.undecodable);
    }

    /// The rest of its recording, from `now_ns` (`CLOCK_MONOTONIC`) on, is unknown because of `reason`.
    pub fn cut_off(&mut self, now_ns: u64, reason: &str) {
        (self.ended_ns, self.cut_off) = (now_ns, true);
        self.unknown.push(("what happened from then on".to_owned(), reason.to_owned()));
    }

    /// Whether `--cgroup` lists it.
    pub fn lists(&self, memcg: &Memcg) -> bool {
        self.cgroup.as_ref().is_none_or(|glob| glob.matches(memcg))
    }

    /// Whether nothing is missing that the result may depend on.
    pub fn conclusive(&self, tracker: &Tracker) -> bool {
        tracker.conclusive() && self.undecodable == 0 && !self.cut_off
    }
}
