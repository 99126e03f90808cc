//! The view of `verify`: verdicts and their summary.

use serde::Serialize;

use crate::{
    cause::PinTotal,
    record::Backend,
    verdict::{Baseline, Differs, Expectation, GoneAfter, Judgement, Outcome, ScenarioName, Verdict},
};

/// The environment of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Ground {
    pub kernel: String,
    pub controller: String,
    pub backend: Backend,
    pub backend_reason: Option<String>,
    pub cgroups: u64,
    pub settle_ns: u64,
    #[serde(skip)]
    pub page_bytes: u64,
}

/// One scenario.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictView {
    pub scenario: ScenarioName,
    pub verdict: Verdict,
    /// Why it was skipped or is inconclusive, or details of a leak.
    pub reason: Option<String>,
    pub expected: Verdict,
    /// Null: inconclusive.
    pub as_expected: Option<bool>,
    pub kernel: String,
    pub controller: String,
    pub backend: Backend,
    /// Memcgs that should have been freed, and those that were not while the pins were in place.
    pub memcgs: Option<u64>,
    pub stayed: Option<u64>,
    /// Of those that stayed.
    pub ids_held: Option<u64>,
    /// By their counters; since 7.1 pages move to the parent and stay in them: see `held_bytes_max`.
    pub charged_bytes: Option<u64>,
    /// The most that they can hold by their references. Never more than they are charged.
    pub held_bytes_max: Option<u64>,
    /// Additional slab caches.
    pub slab_caches: Option<u64>,
    /// What refers to the memcgs of a leak, most references first. Null: not looked for.
    pub pinned_by: Option<Vec<PinTotal>>,
    /// Whether that is exactly what the scenario pins with.
    pub pins_as_expected: Option<bool>,
    pub gone_after: Option<GoneAfter>,
    /// The pin that was removed, for `pin_removed`.
    pub pin: Option<&'static str>,
    /// Time until all were freed by themselves.
    pub took_ns: Option<u64>,
    #[serde(skip)]
    pub differs: Differs,
}

/// A difference to the baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    pub scenario: ScenarioName,
    pub before: Option<Outcome>,
    pub after: Option<Outcome>,
}

/// The whole view.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyView {
    #[serde(skip)]
    pub verdicts: Vec<VerdictView>,
    /// `None`: no baseline.
    #[serde(skip)]
    pub changes: Option<Vec<Changed>>,
    #[serde(flatten)]
    pub ground: Ground,
    pub clean: u64,
    pub leak: u64,
    pub late: u64,
    pub inconclusive: u64,
    pub skipped: u64,
    /// Whether all verdicts are as expected. Null: none differs, but some are inconclusive.
    pub as_expected: Option<bool>,
    pub conclusive: bool,
}

impl VerdictView {
    /// `wanted`: the scenario was requested by name.
    pub fn new(
        name: ScenarioName,
        wanted: bool,
        pin: Option<&'static str>,
        judgement: Judgement,
        expectation: &Expectation,
        ground: &Ground,
    ) -> Self {
        let differs = expectation.compare(name, wanted, judgement.verdict);
        let charged_bytes = judgement.charged_pages.map(|pages| pages * ground.page_bytes);
        Self {
            scenario: name,
            verdict: judgement.verdict,
            reason: judgement.reason,
            expected: expectation.of(name),
            as_expected: match (differs, judgement.verdict) {
                (Differs::Unknown, _) => None,
                (Differs::No, Verdict::Skipped) if expectation.of(name) != Verdict::Skipped => None,
                (Differs::No, _) => Some(true),
                (Differs::Other | Differs::Leak, _) => Some(false),
            },
            kernel: ground.kernel.clone(),
            controller: ground.controller.clone(),
            backend: ground.backend,
            memcgs: judgement.memcgs,
            stayed: judgement.stayed,
            ids_held: judgement.ids_held,
            charged_bytes,
            held_bytes_max: judgement
                .held_bytes_max
                .zip(charged_bytes)
                .map(|(held, charged)| held.min(charged)),
            slab_caches: judgement.slab_caches,
            pinned_by: judgement.pinned_by,
            pins_as_expected: judgement.pins_as_expected,
            gone_after: judgement.gone_after,
            pin,
            took_ns: judgement.took.map(|took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
            differs,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            kernel: self.kernel.clone(),
            controller: self.controller.clone(),
            verdict: self.verdict,
            stayed: self.stayed,
            memcgs: self.memcgs,
            ids_held: self.ids_held,
            gone_after: self.gone_after,
        }
    }
}

impl VerifyView {
    pub fn new(verdicts: Vec<VerdictView>, ground: Ground, baseline: Option<&Baseline>) -> Self {
        let count =
            |verdict| verdicts.iter().filter(|view: &&VerdictView| view.verdict == verdict).count() as u64;
        let worst = verdicts.iter().map(|view| view.differs).max().unwrap_or(Differs::No);
        Self {
            changes: baseline.map(|baseline| changes(&verdicts, baseline)),
            clean: count(Verdict::Clean),
            leak: count(Verdict::Leak),
            late: count(Verdict::Late),
            inconclusive: count(Verdict::Inconclusive),
            skipped: count(Verdict::Skipped),
            as_expected: match worst {
                Differs::No => Some(true),
                Differs::Unknown => None,
                Differs::Other | Differs::Leak => Some(false),
            },
            conclusive: count(Verdict::Inconclusive) == 0,
            ground,
            verdicts,
        }
    }
}

/// Differences to the baseline, including scenarios that only one of the two has.
fn changes(verdicts: &[VerdictView], baseline: &Baseline) -> Vec<Changed> {
    let mut changes = Vec::new();
    for name in ScenarioName::all() {
        let before = baseline.0.get(name).cloned();
        let after = verdicts.iter().find(|view| view.scenario == *name).map(VerdictView::outcome);
        let changed = match (&before, &after) {
            (Some(before), Some(after)) => before.differs(after),
            (before, after) => before.is_some() || after.is_some(),
        };
        if changed {
            changes.push(Changed { scenario: *name, before, after });
        }
    }
    changes
}
