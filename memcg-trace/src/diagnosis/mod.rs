//! Diagnoses a node from facts collected elsewhere, and suggests remedies. No I/O, no clock.
//!
//! [`findings`] has the findings, [`known_bugs`] the known bugs of the kernel's release, [`remedies`] the remedies.
//! This is the only place that compares kernel releases: for knowledge about releases, never to find out what a kernel
//! can do.

mod findings;
mod known_bugs;
mod node;
mod release;
mod remedies;
mod remedy_kind;

pub use findings::{Finding, Limits, Severity, What};
pub use known_bugs::{Evidence, Known, KnownBug};
pub use node::{Memcgs, Node, Trend};
pub use release::{Match, Release};
pub use remedies::Remedy;
pub use remedy_kind::RemedyKind;

/// The diagnosis of a node.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
    pub known: Vec<Known>,
    /// Sorted by risk.
    pub remedies: Vec<Remedy>,
    /// Whether one of the findings is [`Severity::Sick`].
    pub sick: bool,
    /// Whether everything that makes a node sick could be checked.
    pub conclusive: bool,
}

/// Judges a node.
pub fn diagnose(node: &Node, limits: &Limits) -> Diagnosis {
    let findings = findings::of(node, limits);
    let known = known_bugs::of(node);
    let remedies = remedies::of(node, &findings, &known);
    let is = |severity| findings.iter().any(|finding| finding.severity == severity);
    Diagnosis { sick: is(Severity::Sick), conclusive: !is(Severity::Unknown), findings, known, remedies }
}
