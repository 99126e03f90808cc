//! The view of `doctor`: features, findings, known bugs and remedies.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cause::{Hint, PinTotal, pin_totals},
    diagnosis::{Diagnosis, Finding, Known, KnownBy, Node, Remedy, Trend},
    event::ID_LIMIT,
    kernel::{
        ability::{Ability, Answer},
        confinement::Confinement,
    },
    record::{Backend, Kmem},
};

/// Serializes as the last line of the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorView<'a> {
    /// `uname -r`
    pub kernel: &'a str,
    /// Version and mount point of the memory controller's hierarchy; null: there is none.
    pub controller: Option<String>,
    /// The backend that `trace` would use; null: none works.
    pub backend: Option<Backend>,
    pub verdict: NodeVerdict,
    /// Whether everything that makes a node sick could be checked.
    pub conclusive: bool,
    /// What keeps dropped privileges from being regained; null: it could not be tried.
    pub confinement: Option<Confinement>,
    /// null: there is no memory controller.
    pub node: Option<NodeView<'a>>,
    /// In JSON, each is a separate line before the summary.
    #[serde(skip)]
    pub abilities: Vec<AbilityView<'a>>,
    #[serde(skip)]
    pub findings: &'a [Finding],
    #[serde(skip)]
    pub known: Vec<KnownView<'a>>,
    #[serde(skip)]
    pub remedies: &'a [Remedy],
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeVerdict {
    Healthy,
    Sick,
    /// Not sick as far as known, but some checks failed.
    Inconclusive,
    /// There is no memory controller.
    Unsupported,
}

/// The facts behind the findings.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView<'a> {
    pub live: Option<u64>,
    pub removed: Option<u64>,
    pub dying: Option<u64>,
    /// Dying at both examinations.
    pub staying: Option<u64>,
    pub empty: Option<u64>,
    pub ids_used: Option<u64>,
    pub ids_limit: u64,
    pub ids_held_by_dying: Option<u64>,
    /// At least.
    pub held_bytes: Option<u64>,
    /// At most.
    pub held_bytes_max: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub slab_caches: Option<u64>,
    pub kmem: Kmem,
    pub dying_by_controller: &'a BTreeMap<String, u64>,
    /// What pins those that stay, as a hint by their counters.
    pub pins: &'a BTreeMap<Hint, u64>,
    /// What pins those that stay, by what refers to them; null: that could not be looked at.
    pub pinned: Option<Vec<PinTotal>>,
    /// Time between the two examinations; null: too short for trends.
    pub watched_ns: Option<u64>,
    pub dying_grown: Option<i64>,
    pub ids_grown: Option<i64>,
    pub slab_caches_grown: Option<i64>,
}

/// A feature, and whether it works here.
#[derive(Clone, Debug, Serialize)]
pub struct AbilityView<'a> {
    pub what: String,
    pub answer: AnswerKind,
    pub detail: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// The next step after a no.
    pub next: Option<&'a str>,
}

/// A known bug of the kernel's release.
#[derive(Clone, Debug, Serialize)]
pub struct KnownView<'a> {
    pub id: &'a str,
    /// false: cannot be determined from the release number.
    pub certain: bool,
    pub bug: &'a str,
    pub symptom: &'a str,
    /// null: no known release.
    pub fixed_in: Option<&'a str>,
    pub fixed_note: &'a str,
    /// Scenarios of `memcg-trace verify`.
    pub confirm: &'a [String],
    pub evidence: KnownBy,
    /// Memcgs of this node that are pinned by what the bug pins with; null: not looked at, or it pins none.
    pub here: Option<u64>,
    pub sources: &'a [String],
}

impl<'a> DoctorView<'a> {
    /// `node`: the facts and their diagnosis; `None` without a memory controller.
    pub fn new(
        kernel: &'a str,
        controller: Option<String>,
        backend: Option<Backend>,
        abilities: &'a [Ability],
        confinement: Option<Confinement>,
        node: Option<(&'a Node, &'a Diagnosis)>,
    ) -> Self {
        let diagnosis = node.map(|(_, diagnosis)| diagnosis);
        let verdict = match diagnosis {
            None => NodeVerdict::Unsupported,
            Some(diagnosis) if diagnosis.sick => NodeVerdict::Sick,
            Some(diagnosis) if !diagnosis.conclusive => NodeVerdict::Inconclusive,
            Some(_) => NodeVerdict::Healthy,
        };
        Self {
            kernel,
            controller,
            backend,
            verdict,
            conclusive: diagnosis.is_some_and(|diagnosis| diagnosis.conclusive),
            confinement,
            node: node.map(|(node, _)| NodeView::new(node)),
            abilities: abilities.iter().map(AbilityView::new).collect(),
            findings: diagnosis.map_or(&[], |diagnosis| &diagnosis.findings),
            known: diagnosis
                .map_or_else(Vec::new, |diagnosis| diagnosis.known.iter().map(KnownView::new).collect()),
            remedies: diagnosis.map_or(&[], |diagnosis| &diagnosis.remedies),
        }
    }
}

impl<'a> NodeView<'a> {
    fn new(node: &'a Node) -> Self {
        let Node { memory_bytes, memcgs, dying_by_controller, slab_caches, kmem, trend, .. } = node;
        let grown = |of: fn(&Trend) -> Option<i64>| trend.as_ref().and_then(of);
        Self {
            live: memcgs.live,
            removed: memcgs.removed,
            dying: memcgs.dying,
            staying: memcgs.staying,
            empty: memcgs.empty,
            ids_used: memcgs.ids_used,
            ids_limit: ID_LIMIT,
            ids_held_by_dying: memcgs.ids_held_by_dying,
            held_bytes: memcgs.held_bytes,
            held_bytes_max: memcgs.held_bytes_max,
            memory_bytes: *memory_bytes,
            slab_caches: *slab_caches,
            kmem: *kmem,
            dying_by_controller,
            pins: &memcgs.hints,
            pinned: memcgs.pinned.as_ref().map(pin_totals),
            watched_ns: trend.map(|trend| trend.span_ns),
            dying_grown: grown(|trend| trend.dying),
            ids_grown: grown(|trend| trend.ids),
            slab_caches_grown: grown(|trend| trend.slab_caches),
        }
    }
}

/// Yes, no, or could not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerKind {
    Yes,
    No,
    Unknown,
}

impl<'a> AbilityView<'a> {
    fn new(ability: &'a Ability) -> Self {
        let (answer, detail, reason, next) = match &ability.answer {
            Answer::Yes { detail } => (AnswerKind::Yes, Some(&**detail), None, None),
            Answer::No { reason, next } => (AnswerKind::No, None, Some(&**reason), Some(&**next)),
            Answer::Unknown { reason } => (AnswerKind::Unknown, None, Some(&**reason), None),
        };
        Self { what: ability.id.to_string(), answer, detail, reason, next }
    }
}

impl<'a> KnownView<'a> {
    pub(super) fn new(known: &Known) -> Self {
        let bug = known.bug;
        Self {
            id: &bug.id,
            certain: known.certain,
            bug: &bug.bug,
            symptom: &bug.symptom,
            fixed_in: bug.fixed_in.as_deref(),
            fixed_note: &bug.fixed_note,
            confirm: &bug.confirm,
            evidence: bug.evidence,
            here: known.here,
            sources: &bug.sources,
        }
    }
}
