//! Metrics for Prometheus: from a [`MetricsView`] to metric families ([`families`]), and from these to one of two text
//! formats ([`encode`]). Pure.
//!
//! Labels are bounded by construction: a workload is one only while it is among the worst, and no name of a pod or of a
//! container is ever one. A value that is not known has no sample.

mod encode;
mod families;
mod family;
mod view;
mod workload_families;

pub use encode::{MetricsFormat, encode};
pub use families::families;
pub use family::{Exemplar, Family, Labels, MetricKind, Sample};
pub use view::{Build, DyingCharges, MetricsFacts, MetricsView, OwnCost, SlabCounts};
