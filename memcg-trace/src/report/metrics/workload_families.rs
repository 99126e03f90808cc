//! Metrics by workload.

use super::{Exemplar, Family, Labels, MetricKind, MetricsView, Sample};
use crate::{
    attribution::WorkloadName,
    session::{LeakSeen, Measured, WorkloadCounts},
};

/// The workload of what no workload is known for.
const UNKNOWN: &str = "_unknown";
/// The workload of all that have no series of their own. Only gauges have it: a counter would fall when one of them gets
/// its own.
const OTHER: &str = "_other";

/// What leaked, and what that holds. The sum over all workloads is what leaked of the node.
pub fn workload_gauges(view: &MetricsView) -> [Family<'_>; 4] {
    let family = |name, help, of: fn(&Measured) -> f64| {
        let family = Family::new(name, MetricKind::Gauge, help);
        let top = view.workloads.iter().map(|workload| (labels(workload), of(&workload.now)));
        let other = (plain(OTHER), of(&view.other_workloads));
        top.chain([other]).fold(family, |family, (labels, value)| family.with(labels, value))
    };
    [
        family("memcg_trace_workload_leaked_memcgs", "Leaked memcgs of the worst workloads.", |now| {
            now.memcgs as f64
        }),
        family("memcg_trace_workload_leaked_charged_bytes", "Memory that the leaked memcgs hold.", |now| {
            now.charged_bytes as f64
        }),
        family("memcg_trace_workload_ids_held", "Memcg IDs that the leaked memcgs hold.", |now| {
            now.ids_held as f64
        }),
        family("memcg_trace_workload_oldest_seconds", "Longest known time that one has been dying.", |now| {
            now.oldest_ns as f64 / 1e9
        }),
    ]
}

/// Counters, which go on where they were when a workload is among the worst again.
pub fn workload_counters(view: &MetricsView) -> [Family<'_>; 2] {
    let counter = |name, help| Family::new(name, MetricKind::Counter, help);
    let created = counter("memcg_trace_workload_created_total", "Memcgs that were created for a workload.");
    let created = view
        .workloads
        .iter()
        .fold(created, |family, workload| family.with(labels(workload), workload.created as f64));
    let mut leaks = counter("memcg_trace_workload_leaks_total", "Memcgs that outlived the grace time.");
    leaks.samples.extend(view.workloads.iter().map(|workload| Sample {
        suffix: "",
        labels: labels(workload),
        value: workload.leaks as f64,
        exemplar: workload.last_leak.as_ref().map(|seen| exemplar(seen, view.realtime_offset_ns)),
    }));
    [created, leaks]
}

fn exemplar(seen: &LeakSeen, realtime_offset_ns: i64) -> Exemplar<'_> {
    let named = [("pod", &seen.pod), ("container", &seen.container)];
    let labels = named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?.into())));
    let time_ns = i128::from(seen.t_ns) + i128::from(realtime_offset_ns);
    Exemplar { labels: labels.collect(), time_s: time_ns as f64 / 1e9 }
}

fn labels(workload: &WorkloadCounts) -> Labels<'_> {
    match &workload.name {
        Some(WorkloadName { namespace, name, kind }) => vec![
            ("namespace", namespace.as_deref().unwrap_or("").into()),
            ("workload", name.as_str().into()),
            ("kind", kind.to_string().into()),
        ],
        None => plain(UNKNOWN),
    }
}

fn plain(name: &'static str) -> Labels<'static> {
    vec![("namespace", "".into()), ("workload", name.into()), ("kind", "".into())]
}
