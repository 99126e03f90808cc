//! The summary of a run: counts, survivors, and whether these are conclusive.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    CachePin, Common, ListedMemcg, MemcgList, MemcgView, Rolled, Run, SlabCacheView, SlabSummary, Tally,
    Unknown, Viewpoint,
    group::{GroupMember, parent, tally},
    is_zero, pins, pins_of, rfc3339,
};
use crate::{
    attribution::{Container, NamesMissing},
    cause::PinTotal,
    report::escape::Name,
    session::CgroupGlob,
    tracker::{AllocError, Ids, Memcg, Tracker},
};

/// Serializes as the last line of the JSON output.
#[derive(Debug, Serialize)]
pub struct SummaryView<'a> {
    pub backend: String,
    /// The reason for not using a better one; null: it is the best.
    pub backend_reason: Option<&'a str>,
    /// The end.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME` of the end.
    pub t_ns: u64,
    pub duration_ns: u64,
    pub grace_ns: u64,
    pub created: u64,
    /// First seen after their creation; `created + adopted == live + removed + dying + freed`.
    pub adopted: u64,
    pub live: u64,
    pub removed: u64,
    pub dying: u64,
    /// Of those dying.
    pub leaked: u64,
    /// Only where memcgs outlive their csses (3.10): number of freed csses, and of those whose memcg is still pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub css_freed: Option<CssFreed>,
    pub freed: u64,
    /// Of those freed.
    pub late: u64,
    pub late_max_ns: Option<u64>,
    /// Of those dying: since before the start.
    pub dying_before_start: u64,
    /// Of these: observed for the grace time, and among those leaked.
    pub leaked_before_start: u64,
    /// Dying since before the start, without a walk: not in the other counts unless an event reported them.
    pub dying_unseen: Option<u64>,
    pub alloc_failed: u64,
    pub alloc_failed_by_errno: Vec<AllocFailure>,
    pub ids_used: Option<u64>,
    pub ids_limit: u64,
    /// Of those used.
    pub ids_held_by_dying: Option<u64>,
    /// If the trend of `ids_trend_ns` goes on; null: there is none.
    pub ids_exhausted_in_ns: Option<u64>,
    pub ids_trend_ns: Option<u64>,
    pub lost_events: u64,
    pub missed_firings: u64,
    pub unidentified_events: u64,
    pub undecodable_records: u64,
    /// Reconciled by walks after a loss: memcgs whose creation was not seen (among `adopted`), and memcgs whose release
    /// was not seen (among `freed`).
    pub reconciled_added: u64,
    pub reconciled_freed: u64,
    /// Times that nothing was recorded of, and how long they were in all; absent: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub outages: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub outage_ns: u64,
    /// What of the counts is a lower bound, because events were lost or not recorded: what was created and gone before a walk
    /// was not seen.
    /// Absent: all are exact.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub lower_bounds: &'static [&'static str],
    /// Nothing was lost or missed, or a walk has reconciled it: the memcgs shown are exactly those that exist.
    pub conclusive: bool,
    /// Memcgs whose names were not looked up for lack of time; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names_missing: Option<NamesMissingView<'a>>,
    /// Lines before this one that were dropped because standard output was read too slowly; absent: none. The counts have
    /// what they were about.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_dropped: u64,
    /// What is unknown because an optional hook is missing.
    pub unknown: Vec<Unknown<'a>>,
    /// The glob that the paths of all memcgs match that are listed below, or in lines before this one; the counts above are of
    /// all memcgs. Absent: nothing is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed_cgroups: Option<&'a str>,
    pub leaked_by_parent: Vec<Group<'a>>,
    pub leaked_by_container: Vec<Group<'a>>,
    /// Slab caches that pin leaked memcgs; absent: unknown for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<Vec<CachePin<'a>>>,
    /// What pins those leaked, by what refers to them; absent: nobody looked, or nobody could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<PinTotal>>,
    /// Groups by owner, if requested. In JSON, each is a separate line before the summary.
    #[serde(skip)]
    pub rolled: Vec<Rolled>,
    /// Only if slab caches were traced, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slab: Option<SlabSummary<'a>>,
    /// In JSON, each is a separate line before the summary.
    #[serde(skip)]
    pub leaked_slab_caches: Vec<SlabCacheView<'a>>,
    /// Longest dying first. In JSON, each is a separate line before the summary.
    #[serde(skip)]
    pub survivors: MemcgList<'a>,
    /// See [`Run::perf_pages`].
    #[serde(skip)]
    pub perf_pages: Option<u64>,
}

/// Counts of what happened. Those of what is (live, removed, dying, leaked) are exact once a walk has reconciled them.
const LOWER_BOUNDS: &[&str] = &["created", "freed", "late", "alloc_failed"];

/// How many memcgs have no name for lack of time, and where most of them are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NamesMissingView<'a> {
    pub memcgs: u64,
    /// Most of them are below it.
    pub slice: Name<'a>,
    pub slice_escaped: bool,
    /// As many are.
    pub of_slice: u64,
}

impl<'a> NamesMissingView<'a> {
    pub fn new(missing: &'a NamesMissing) -> Self {
        let slice = Name(&missing.slice);
        let (memcgs, of_slice) = (missing.memcgs, missing.of_slice);
        Self { memcgs, slice, slice_escaped: slice.is_escaped_in_json(), of_slice }
    }
}

/// Failed allocations of one errno.
#[derive(Clone, Debug, Serialize)]
pub struct AllocFailure {
    pub errno: u32,
    pub error: String,
    pub count: u64,
    /// Whether all memcg IDs were in use; null: unknown.
    pub ids_exhausted: Option<bool>,
    #[serde(skip)]
    pub meaning: &'static str,
}

/// A group of leaked memcgs.
#[derive(Clone, Debug, Serialize)]
pub struct Group<'a> {
    /// The common property; null: unknown.
    #[serde(flatten)]
    pub of: Common<'a>,
    pub leaked: u64,
    /// Those that hold their memcg ID; null: not known for all.
    pub ids_held: Option<u64>,
    /// Charges of descendants count only once; null: not known for all.
    pub charged_bytes: Option<u64>,
    /// The longest dying; null: dying before the start.
    pub oldest_ns: Option<u64>,
    /// What pins them, most references first; absent: it is known of none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinTotal>,
}

/// Memcgs whose css was freed, and those of them that have not seen `__mem_cgroup_free`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CssFreed {
    pub memcgs: u64,
    pub held: u64,
}

impl<'a> SummaryView<'a> {
    /// `container` looks up a memcg's container.
    pub fn new(
        run: &'a Run,
        tracker: &'a Tracker,
        viewpoint: &Viewpoint,
        container: impl Fn(&Memcg) -> Option<Container> + 'a,
    ) -> Self {
        let totals = tracker.totals();
        let ids = tracker.ids();
        let survivors = survivors(run, tracker, *viewpoint, container);
        Self {
            backend: run.backend.to_string(),
            backend_reason: run.backend_reason.as_deref(),
            time: viewpoint.clock.utc(run.ended_ns),
            t_ns: viewpoint.clock.boot_ns(run.ended_ns),
            duration_ns: run.ended_ns.saturating_sub(run.started_ns),
            grace_ns: run.grace_ns,
            created: totals.created,
            adopted: totals.adopted,
            live: totals.live,
            removed: totals.removed,
            dying: totals.dying,
            leaked: totals.leaked,
            css_freed: (totals.css_freed > 0).then(|| CssFreed {
                memcgs: totals.css_freed,
                held: tracker.dying().filter(|memcg| memcg.css_freed_ns.is_some()).count() as u64,
            }),
            freed: totals.freed,
            late: totals.late,
            late_max_ns: totals.late_max_ns,
            dying_before_start: tracker.dying().filter(|memcg| memcg.died_before_start()).count() as u64,
            leaked_before_start: tracker.leaked().filter(|memcg| memcg.died_before_start()).count() as u64,
            dying_unseen: viewpoint.dying_unseen,
            alloc_failed: totals.alloc_failed.values().sum(),
            alloc_failed_by_errno: alloc_failures(tracker, &ids, viewpoint),
            ids_used: ids.used,
            ids_limit: ids.limit,
            ids_held_by_dying: ids.held_by_dying,
            ids_exhausted_in_ns: ids.exhaustion.map(|exhaustion| exhaustion.in_ns),
            ids_trend_ns: ids.exhaustion.map(|exhaustion| exhaustion.seen_for_ns),
            lost_events: totals.lost_events,
            missed_firings: totals.missed_firings,
            unidentified_events: totals.unidentified,
            undecodable_records: run.undecodable,
            reconciled_added: totals.reconciled_added,
            reconciled_freed: totals.reconciled_freed,
            outages: totals.outages,
            outage_ns: totals.outage_ns,
            conclusive: run.conclusive(tracker),
            names_missing: None,
            lower_bounds: match totals.lost_events + totals.missed_firings + totals.outages {
                0 => &[],
                _ => LOWER_BOUNDS,
            },
            lines_dropped: 0,
            unknown: run.unknown.iter().map(|(what, reason)| Unknown { what, reason }).collect(),
            listed_cgroups: run.cgroup.as_ref().map(CgroupGlob::text),
            leaked_by_parent: by_parent(&survivors),
            leaked_by_container: by_container(&survivors),
            pinned_by: pins(tracker.leaked().filter(|memcg| run.lists(memcg))),
            pins: pins_of(tracker.leaked().filter(|memcg| run.lists(memcg))),
            rolled: Vec::new(),
            slab: None,
            leaked_slab_caches: Vec::new(),
            survivors,
            perf_pages: run.perf_pages,
        }
    }
}

fn alloc_failures(tracker: &Tracker, ids: &Ids, viewpoint: &Viewpoint) -> Vec<AllocFailure> {
    let failures = tracker.totals().alloc_failed.iter();
    let failures = failures.map(|(&errno, &count)| {
        let AllocError { name: error, exhausted, meaning } =
            AllocError::decode(errno, ids, viewpoint.dying_unseen);
        AllocFailure { errno, error, count, ids_exhausted: exhausted.known(), meaning }
    });
    failures.collect()
}

/// The leaked memcgs, longest dying first.
fn survivors<'a>(
    run: &'a Run,
    tracker: &'a Tracker,
    viewpoint: Viewpoint,
    container: impl Fn(&Memcg) -> Option<Container> + 'a,
) -> MemcgList<'a> {
    let mut leaked: Vec<_> = tracker.leaked().filter(|memcg| run.lists(memcg)).collect();
    leaked.sort_unstable_by_key(|memcg| (memcg.dying_since_ns().unwrap_or(u64::MAX), memcg.key));
    MemcgList::new(leaked, move |memcg| {
        ListedMemcg::new(MemcgView::new(memcg, run.ended_ns, &viewpoint), container(memcg))
    })
}

fn by_parent<'a>(survivors: &MemcgList<'a>) -> Vec<Group<'a>> {
    groups(survivors, |survivor| Common::ParentPath(survivor.memcg.path.map(parent)))
}

fn by_container<'a>(survivors: &MemcgList<'a>) -> Vec<Group<'a>> {
    groups(survivors, |survivor| Common::Container(survivor.container.map(Box::new)))
}

fn groups<'a>(survivors: &MemcgList<'a>, common: impl Fn(ListedMemcg<'a>) -> Common<'a>) -> Vec<Group<'a>> {
    let shown = survivors.memcgs().zip(survivors.iter());
    let memcgs = shown.map(|(memcg, shown)| (memcg, GroupMember::of(&shown.memcg), common(shown)));
    tally(memcgs).into_iter().map(Group::of_leaked).collect()
}

impl<'a> Group<'a> {
    fn of_leaked(tally: Tally<Common<'a>>) -> Self {
        let Tally { of, memcgs: leaked, ids_held, charged_bytes, oldest_ns, pins, .. } = tally;
        Self { of, leaked, ids_held, charged_bytes, oldest_ns, pins }
    }
}
