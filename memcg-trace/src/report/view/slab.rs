//! The view of `slab`: list or groups, and summary.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Unknown, is_zero, rfc3339,
    slab_cache::{SlabCacheView, SymbolView},
    slab_groups::{SlabBy, SlabGroup, grouped},
};
use crate::{
    report::escape::Name,
    slab::{Cache, CacheFamily, Growing, SlabBackend, SlabLedger, SlabRun, SlabState},
};

/// Selection and grouping of caches.
#[derive(Clone, Copy, Debug)]
pub struct SlabRequest {
    pub leaked: bool,
    pub by: Option<SlabBy>,
    pub top: Option<usize>,
}

impl SlabRequest {
    /// All leaked caches.
    pub fn leaked() -> Self {
        Self { leaked: true, by: None, top: None }
    }
}

/// A family that only grows.
#[derive(Clone, Debug, Serialize)]
pub struct GrowingView {
    /// A call site, or a name with `#` for numbers.
    pub family: String,
    pub from: u64,
    pub to: u64,
    pub rises: u64,
}

/// Serializes as the last line of the JSON output, or as a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct SlabSummary<'a> {
    pub backend: SlabBackend,
    pub backend_reason: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    /// Null: the list was read once.
    pub duration_ns: Option<u64>,
    pub created: u64,
    /// First seen after their creation; `created + adopted == live + destroying + leaked + released`.
    pub adopted: u64,
    pub live: u64,
    pub destroying: u64,
    pub leaked: u64,
    pub released: u64,
    /// Released after being reported as leaked.
    pub late: u64,
    /// Merges into existing caches, and merged names destroyed again.
    pub aliased: u64,
    pub unaliased: u64,
    pub failed: u64,
    /// New caches whose name did not match the requested one: the struct layout is not this kernel's.
    pub misread: u64,
    /// Caches in the kernel's list, links to them, and stale links.
    pub kernel_caches: Option<u64>,
    pub kernel_links: Option<u64>,
    pub kernel_stale_links: Option<u64>,
    /// Whether memcgs have their own caches; null: could not tell.
    pub per_memcg_caches: Option<bool>,
    pub growing: Vec<GrowingView>,
    pub lost_events: u64,
    pub missed_firings: u64,
    pub undecodable_records: u64,
    pub conclusive: bool,
    /// Lines before this one that were dropped because standard output was read too slowly; absent: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_dropped: u64,
    pub unknown: Vec<Unknown<'a>>,
    #[serde(skip)]
    pub grace_ns: u64,
}

/// List or groups, and summary.
#[derive(Clone, Debug)]
pub struct SlabView<'a> {
    pub request: SlabRequest,
    pub caches: Vec<SlabCacheView<'a>>,
    pub groups: Option<Vec<SlabGroup>>,
    /// Number of caches listed or grouped without limits.
    pub selected: u64,
    pub summary: SlabSummary<'a>,
}

impl<'a> SlabView<'a> {
    pub fn new(run: &'a SlabRun, ledger: &'a SlabLedger, request: SlabRequest) -> Self {
        let selected = ledger.caches().filter(|cache| !request.leaked || cache.state == SlabState::Leaked);
        let selected: Vec<&Cache> = selected.collect();
        let mut caches: Vec<_> =
            selected.iter().map(|cache| SlabCacheView::new(cache, ledger, run.ended_ns)).collect();
        let mut groups = request.by.map(|by| grouped(&selected, &caches, ledger, by, &run.owners));
        // Leaked caches are sorted by age, as they came; others by size.
        if !request.leaked {
            caches.sort_by_key(|cache| Reverse(cache.bytes));
        }
        let selected = groups.as_ref().map_or(caches.len(), Vec::len) as u64;
        if let Some(top) = request.top {
            caches.truncate(top);
            groups.iter_mut().for_each(|groups| groups.truncate(top));
        }
        Self { request, caches, groups, selected, summary: SlabSummary::new(run, ledger) }
    }
}

impl<'a> SlabSummary<'a> {
    pub fn new(run: &'a SlabRun, ledger: &SlabLedger) -> Self {
        let totals = ledger.totals();
        Self {
            backend: run.backend,
            backend_reason: run.backend_reason.as_deref(),
            time: run.clock.utc(run.ended_ns),
            t_ns: run.clock.boot_ns(run.ended_ns),
            duration_ns: run.started_ns.map(|started_ns| run.ended_ns.saturating_sub(started_ns)),
            created: totals.created,
            adopted: totals.adopted,
            live: totals.live,
            destroying: totals.destroying,
            leaked: totals.leaked,
            released: totals.released,
            late: totals.late,
            aliased: totals.aliased,
            unaliased: totals.unaliased,
            failed: totals.failed,
            misread: totals.misread,
            kernel_caches: run.listed.map(|listed| listed.caches),
            kernel_links: run.listed.map(|listed| listed.links),
            kernel_stale_links: run.listed.map(|listed| listed.stale_links),
            per_memcg_caches: run.per_memcg,
            growing: ledger.growing().iter().map(GrowingView::new).collect(),
            lost_events: totals.lost_events,
            missed_firings: totals.missed_firings,
            undecodable_records: run.undecodable,
            conclusive: run.conclusive(ledger),
            lines_dropped: 0,
            unknown: run.unknown.iter().map(|(what, reason)| Unknown { what, reason }).collect(),
            grace_ns: run.grace_ns,
        }
    }
}

impl GrowingView {
    fn new(growing: &Growing) -> Self {
        let family = match &growing.family {
            CacheFamily::Creator(symbol) => format!("created by {}", SymbolView::new(symbol)),
            CacheFamily::Init(module) => format!("created by the init function of {}", Name(module)),
            CacheFamily::Name(stem) => format!("named {}", Name(stem)),
        };
        Self { family, from: growing.from, to: growing.to, rises: growing.rises }
    }
}
