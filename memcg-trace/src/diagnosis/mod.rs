//! What is wrong with a node and what to do, by facts that somebody else found out. No I/O, no clock.
//!
//! [`findings`] says what the node suffers from, [`known_bugs`] what is known of its kernel's release, [`remedies`] what
//! helps. This is the one place where releases of the kernel are compared: it is knowledge about releases, never a way to
//! find out what a kernel can do.

mod findings;
mod known_bugs;
mod node;
mod pins;
mod release;
mod remedies;
mod remedy_kind;

pub use findings::{Finding, Limits, Severity, What};
pub use known_bugs::{Evidence, Known, KnownBug};
pub use node::{Memcgs, Node, Trend};
pub use pins::Pin;
pub use release::{Match, Release};
pub use remedies::Remedy;
pub use remedy_kind::RemedyKind;

/// All of it.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
    pub known: Vec<Known>,
    /// In order of risk.
    pub remedies: Vec<Remedy>,
    /// One of the findings is [`Severity::Sick`].
    pub sick: bool,
    /// Whatever makes a node sick could be told.
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
