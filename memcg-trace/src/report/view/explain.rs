//! What pins dying memcgs, each reference accounted for.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    ExplainBy, ExplainedMemcg, ListedMemcg, MemcgView, PartView, PinGroup, Unknown, Viewpoint, pin_groups,
    rfc3339,
};
use crate::{
    attribution::Container,
    cause::{Explanation, MapCompared, PinTotal, Pinned, pin_totals},
    tracker::{Memcg, Tracker},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainRequest {
    pub by: Option<ExplainBy>,
    /// Longest list of memcgs or groups.
    pub top: Option<usize>,
}

/// What a look found, beside the ledger.
#[derive(Clone, Debug)]
pub struct Explained {
    /// How kernel memory was read, in a word.
    pub backend: &'static str,
    /// `CLOCK_MONOTONIC`, ns.
    pub began_ns: u64,
    pub ended_ns: u64,
    pub explanations: Vec<Explanation>,
    /// What could not be looked for, and why.
    pub unread: Vec<(String, String)>,
    pub map: Option<MapCompared>,
}

/// Serializes as the last line of the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainView<'a> {
    pub backend: &'static str,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    /// Of the look.
    pub duration_ns: u64,
    /// All that are dying, looked at or not.
    pub dying: u64,
    /// Looked at, and still there.
    pub memcgs: u64,
    /// Of these, those whose references all have a thing behind them.
    pub memcgs_explained: u64,
    pub refs_total: u64,
    pub refs_explained: u64,
    pub refs_unexplained: u64,
    /// Memcgs whose count changed while they were looked at.
    pub moved: u64,
    /// Memcgs that were freed meanwhile.
    pub freed: u64,
    /// Memcgs whose count cannot be read on this kernel: nothing says whether that is all.
    pub uncounted: u64,
    pub conclusive: bool,
    pub pins: Vec<PinTotal>,
    /// The lists compared with the map of all pages, where that was looked at.
    pub map: Option<MapCompared>,
    /// What could not be looked for.
    pub unread: Vec<Unknown<'a>>,
    /// In JSON, each part is a line of its own before the summary.
    #[serde(skip)]
    pub explained: Vec<ExplainedMemcg<'a>>,
    /// Instead of the list, where groups are asked for; in JSON as above.
    #[serde(skip)]
    pub groups: Option<Vec<PinGroup<'a>>>,
    /// Listed or grouped, if nothing cut it short.
    #[serde(skip)]
    pub selected: u64,
}

impl<'a> ExplainView<'a> {
    /// `tracker` knows the memcgs that were looked at. `container` finds what a memcg belongs to.
    pub fn new(
        explained: &'a Explained,
        tracker: &'a Tracker,
        viewpoint: &Viewpoint,
        request: ExplainRequest,
        container: impl Fn(&Memcg) -> Option<Container>,
    ) -> Self {
        let all = explained.explanations.iter();
        let freed = all.clone().filter(|explanation| explanation.is_freed()).count() as u64;
        let there: Vec<&Explanation> = all.filter(|explanation| !explanation.is_freed()).collect();
        let count =
            |is: fn(&Explanation) -> bool| there.iter().filter(|explanation| is(explanation)).count() as u64;
        let sum = |of: fn(&Explanation) -> u64| there.iter().map(|explanation| of(explanation)).sum();
        let memcgs_explained = count(Explanation::is_complete);
        let view = |explanation: &&'a Explanation| {
            let memcg = tracker.get(&explanation.key)?;
            let view = MemcgView::new(memcg, explained.ended_ns, viewpoint);
            let listed = ListedMemcg::new(view, container(memcg));
            let parts = explanation.parts.iter();
            let parts = parts.map(|part| PartView::new(part, viewpoint.page_bytes)).collect();
            Some(ExplainedMemcg { listed, explanation, parts })
        };
        let mut memcgs: Vec<ExplainedMemcg<'a>> = there.iter().filter_map(view).collect();
        memcgs.sort_by_key(|memcg| (Reverse(memcg.explanation.refs), memcg.explanation.key.serial));
        let mut groups = request.by.map(|by| pin_groups::of(&memcgs, by));
        let selected = groups.as_ref().map_or(memcgs.len(), Vec::len) as u64;
        if let Some(top) = request.top {
            memcgs.truncate(top);
            groups.iter_mut().for_each(|groups| groups.truncate(top));
        }
        Self {
            backend: explained.backend,
            time: viewpoint.clock.utc(explained.ended_ns),
            t_ns: viewpoint.clock.boot_ns(explained.ended_ns),
            duration_ns: explained.ended_ns.saturating_sub(explained.began_ns),
            dying: tracker.totals().dying,
            memcgs: there.len() as u64,
            memcgs_explained,
            refs_total: sum(|explanation| explanation.refs),
            refs_explained: sum(|explanation| explanation.explained),
            refs_unexplained: sum(Explanation::unexplained),
            moved: count(|explanation| explanation.moved),
            freed,
            uncounted: count(|explanation| explanation.counted.is_none()),
            conclusive: memcgs_explained == there.len() as u64,
            pins: pin_totals(there.iter().map(|explanation| Pinned::of(explanation))),
            map: explained.map,
            unread: explained.unread.iter().map(|(what, reason)| Unknown { what, reason }).collect(),
            explained: memcgs,
            groups,
            selected,
        }
    }
}
