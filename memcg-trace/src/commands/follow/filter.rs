//! Filters the changes that are shown. The ledger follows all of them.

use super::Shown;
use crate::{
    report::view::EventKind,
    session::CgroupGlob,
    tracker::{Change, Memcg, What},
};

/// The filter of `--cgroup`, `--min-age` and `--events`.
#[derive(Clone, Debug)]
pub struct Filter {
    cgroup: Option<CgroupGlob>,
    /// Minimum time that the memcg has been dying, ns.
    min_age_ns: u64,
    /// Empty: all.
    events: Vec<EventKind>,
}

impl Filter {
    pub fn new(shown: &Shown) -> Self {
        Self {
            cgroup: shown.cgroup.clone(),
            min_age_ns: u64::try_from(shown.min_age.as_nanos()).unwrap_or(u64::MAX),
            events: shown.events.clone(),
        }
    }

    /// Whether nothing is filtered out.
    pub fn shows_all(&self) -> bool {
        self.cgroup.is_none() && self.min_age_ns == 0 && self.events.is_empty()
    }

    /// Whether a change is shown; `memcg` is the one it is about.
    pub fn shows(&self, change: &Change, memcg: Option<&Memcg>) -> bool {
        // Loss concerns every memcg: only --events hides its lines, and the summary always has it.
        if matches!(change.what, What::Lost { .. } | What::Missed { .. } | What::Outage(_)) {
            return self.shows_event(change);
        }
        self.shows_event(change) && self.shows_age(change, memcg) && self.shows_path(memcg)
    }

    fn shows_event(&self, change: &Change) -> bool {
        self.events.is_empty() || self.events.contains(&EventKind::of(&change.what))
    }

    fn shows_age(&self, change: &Change, memcg: Option<&Memcg>) -> bool {
        let since_ns = memcg.and_then(Memcg::dying_since_ns);
        since_ns.map_or(0, |since_ns| change.t_ns.saturating_sub(since_ns)) >= self.min_age_ns
    }

    fn shows_path(&self, memcg: Option<&Memcg>) -> bool {
        self.cgroup.as_ref().is_none_or(|glob| memcg.is_some_and(|memcg| glob.matches(memcg)))
    }
}
