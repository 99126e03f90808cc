//! The metrics: names, meanings and labels. docs/FLEET.md has them for people.

use super::{
    Family, MetricKind, MetricsView, Sample,
    workload_families::{workload_counters, workload_gauges},
};
use crate::{cause::Pin, session::Lifetimes};

/// All families, in the order in which they are shown.
pub fn families(view: &MetricsView) -> Vec<Family<'_>> {
    let mut families = vec![build_info(view)];
    families.extend(ids(view));
    families.extend(memcgs(view));
    families.extend(events(view));
    families.extend(workload_gauges(view));
    families.extend(workload_counters(view));
    families.extend(pins(view));
    families.extend(quality(view));
    families.extend(own_cost(view));
    families
}

fn gauge<'a>(name: &'static str, help: &'static str) -> Family<'a> {
    Family::new(name, MetricKind::Gauge, help)
}

fn counter<'a>(name: &'static str, help: &'static str) -> Family<'a> {
    Family::new(name, MetricKind::Counter, help)
}

fn number(value: u64) -> Option<f64> {
    Some(value as f64)
}

fn build_info(view: &MetricsView) -> Family<'_> {
    let build = &view.build;
    let labels = vec![
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("kernel", build.kernel.as_str().into()),
        ("cgroup", build.cgroup.as_str().into()),
        ("backend", build.backend.as_str().into()),
    ];
    gauge("memcg_trace_build_info", "Version of memcg-trace, the kernel and how it is traced; always 1.")
        .with(labels, 1.0)
}

fn ids(view: &MetricsView) -> [Family<'_>; 4] {
    let ids = &view.ids;
    let known = |value: Option<u64>| value.map(|value| value as f64);
    [
        gauge("memcg_trace_memcg_ids_used", "Memcg IDs in use.").maybe(known(ids.used)),
        gauge("memcg_trace_memcg_ids_limit", "Memcg IDs that exist.").maybe(number(ids.limit)),
        gauge("memcg_trace_memcg_ids_held_by_dying", "Memcg IDs in use that dying memcgs hold.")
            .maybe(known(ids.held_by_dying)),
        gauge("memcg_trace_node_memory_bytes", "Memory of the node.")
            .maybe(known(view.facts.node_memory_bytes)),
    ]
}

fn memcgs(view: &MetricsView) -> [Family<'_>; 4] {
    let states = [("live", view.live), ("removed", view.removed), ("dying", view.dying)];
    let charges = &view.charges;
    let kinds = [
        ("file", charges.file),
        ("anon", charges.anon),
        ("shmem", charges.shmem),
        ("slab", charges.slab),
        ("swap", charges.swap),
        ("sock", charges.sock),
        ("other", charges.other),
    ];
    // Unknown is not zero: where nothing tells the kinds apart, all is `other`.
    let kinds = kinds.into_iter().filter(|(kind, _)| view.facts.accounting.is_some() || *kind == "other");
    [
        gauge("memcg_trace_memcgs", "Memcgs by state; dying ones were removed and are not freed.")
            .by("state", states),
        gauge("memcg_trace_leaked_memcgs", "Dying memcgs that outlived the grace time or the last start.")
            .maybe(number(view.leaked)),
        gauge(
            "memcg_trace_dying_charged_bytes",
            "Memory that dying memcgs hold, by kind as of the last walk.",
        )
        .by("kind", kinds),
        gauge("memcg_trace_dying_oldest_seconds", "Longest known time that a memcg has been dying.")
            .maybe(Some(view.dying_oldest_ns as f64 / 1e9)),
    ]
}

fn events(view: &MetricsView) -> [Family<'_>; 5] {
    let events = &view.events;
    let kinds = [
        ("online", events.online),
        ("removed", events.removed),
        ("offline", events.offline),
        ("released", events.released),
        ("freed", events.freed),
        ("late", events.late),
    ];
    let failures = &view.alloc_failures;
    let causes = [("ids", failures.ids), ("memory", failures.memory), ("unknown", failures.unknown)];
    [
        counter("memcg_trace_lifecycle_events_total", "Steps in the lives of memcgs, by event.")
            .by("event", kinds),
        counter("memcg_trace_leaks_total", "Memcgs that outlived the grace time.").maybe(number(view.leaks)),
        counter("memcg_trace_late_total", "Memcgs that were freed after the grace time.")
            .maybe(number(events.late)),
        counter("memcg_trace_alloc_failures_total", "Memcgs that could not be allocated, by cause.")
            .by("cause", causes),
        lifetimes(&view.lifetimes),
    ]
}

fn lifetimes<'a>(lifetimes: &Lifetimes) -> Family<'a> {
    let mut family = Family::new(
        "memcg_trace_dying_lifetime_seconds",
        MetricKind::Histogram,
        "Time from offline to free of freed memcgs.",
    );
    let sample = |suffix, labels, value| Sample { suffix, labels, value, exemplar: None };
    for (bound, count) in lifetimes.buckets() {
        let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
        family.samples.push(sample("_bucket", vec![("le", bound.into())], count as f64));
    }
    family.samples.push(sample("_sum", Vec::new(), lifetimes.sum_seconds()));
    family.samples.push(sample("_count", Vec::new(), lifetimes.count() as f64));
    family
}

fn pins(view: &MetricsView) -> [Family<'_>; 3] {
    let name = |pin: &Option<Pin>| pin.map_or_else(|| "unknown".to_owned(), |pin| pin.to_string());
    let pinned = view.pinned.iter().map(|(pin, memcgs)| (name(pin), *memcgs));
    let slab = view.facts.slab;
    [
        gauge(
            "memcg_trace_pinned_memcgs",
            "Leaked memcgs by what has most of their references; unknown: not looked at.",
        )
        .by("pin", pinned),
        gauge("memcg_trace_slab_caches", "Slab caches.").maybe(slab.map(|slab| slab.caches as f64)),
        gauge("memcg_trace_slab_caches_leaked", "Destroyed slab caches that are not released.")
            .maybe(slab.map(|slab| slab.leaked as f64)),
    ]
}

fn quality(view: &MetricsView) -> [Family<'_>; 9] {
    let ledger = view.live + view.removed + view.dying;
    [
        gauge(
            "memcg_trace_conclusive",
            "1: the memcgs counted are exactly those that exist; 0: something was lost.",
        )
        .maybe(number(u64::from(view.conclusive))),
        gauge(
            "memcg_trace_kernel_disagrees",
            "1: the last walk found other memcgs than the events tell of, although nothing was lost.",
        )
        .maybe((view.walks > 0).then_some(f64::from(u8::from(view.kernel_disagrees)))),
        counter("memcg_trace_events_lost_total", "Events that never arrived.")
            .maybe(number(view.lost_events)),
        counter("memcg_trace_firings_missed_total", "Firings of hooks that the kernel skipped.")
            .maybe(number(view.missed_firings)),
        counter(
            "memcg_trace_names_unresolved_total",
            "Leaked memcgs of containers whose name was never found.",
        )
        .maybe(number(view.unnamed_leaks)),
        counter("memcg_trace_walks_total", "Walks through all memcgs of the kernel.")
            .maybe(number(view.walks)),
        gauge("memcg_trace_walk_duration_seconds", "How long the last walk took.").maybe(view.walk_seconds),
        gauge("memcg_trace_walk_timestamp_seconds", "When the last walk ended, since the epoch.")
            .maybe(view.walked_s),
        gauge("memcg_trace_ledger_memcgs", "Memcgs in the ledger.").maybe(number(ledger)),
    ]
}

fn own_cost(view: &MetricsView) -> [Family<'_>; 4] {
    let own = &view.facts.own;
    let known = |value: Option<u64>| value.map(|value| value as f64);
    [
        counter("process_cpu_seconds_total", "CPU time of this process, in user and in kernel mode.")
            .maybe(own.cpu_seconds),
        gauge("process_resident_memory_bytes", "Resident memory of this process.")
            .maybe(known(own.resident_bytes)),
        gauge("process_start_time_seconds", "When this process started, since the epoch.")
            .maybe(own.started_s),
        gauge("process_open_fds", "Open files of this process.").maybe(known(own.open_files)),
    ]
}
