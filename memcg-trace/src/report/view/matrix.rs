//! Verdicts of several kernels side by side.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{VerdictView, VerifyView};
use crate::{
    cause::PinTotal,
    verdict::{BaselineError, GoneAfter, ScenarioName, Verdict},
};

/// One run of `verify`.
#[derive(Clone, Debug)]
pub struct MatrixColumn {
    pub kernel: String,
    /// Version and mount point of the memory controller's hierarchy.
    pub controller: String,
    pub cells: BTreeMap<ScenarioName, MatrixCell>,
}

/// A verdict; the fields of a `verdict` line of `verify -o json` that are shown.
#[derive(Clone, Debug, Deserialize)]
pub struct MatrixCell {
    pub verdict: Verdict,
    pub reason: Option<String>,
    pub expected: Option<Verdict>,
    pub as_expected: Option<bool>,
    pub memcgs: Option<u64>,
    pub stayed: Option<u64>,
    pub ids_held: Option<u64>,
    pub charged_bytes: Option<u64>,
    pub held_bytes_max: Option<u64>,
    pub pinned_by: Option<Vec<PinTotal>>,
    pub gone_after: Option<GoneAfter>,
    /// Noun for the pin that was removed.
    pub pin: Option<String>,
}

/// The same line, with what places it.
#[derive(Deserialize)]
struct VerdictLine {
    #[serde(rename = "type")]
    kind: String,
    scenario: Option<ScenarioName>,
    kernel: Option<String>,
    controller: Option<String>,
}

impl MatrixColumn {
    pub fn of(view: &VerifyView) -> Self {
        let cells = view.verdicts.iter().map(|verdict| (verdict.scenario, MatrixCell::of(verdict)));
        Self {
            kernel: view.ground.kernel.clone(),
            controller: view.ground.controller.clone(),
            cells: cells.collect(),
        }
    }

    /// Reads the output of `verify -o json`, of this version or an earlier one.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let (mut at, mut cells) = (None, BTreeMap::new());
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let broken = |error| BaselineError::Line { line, error };
            let VerdictLine { kind, scenario, kernel, controller } =
                serde_json::from_str(text).map_err(broken)?;
            if let (Some(name), "verdict") = (scenario, kind.as_str()) {
                cells.insert(name, serde_json::from_str(text).map_err(broken)?);
                at = kernel.zip(controller).or(at);
            }
        }
        let (kernel, controller) = at.ok_or(BaselineError::Empty)?;
        Ok(Self { kernel, controller, cells })
    }
}

impl MatrixCell {
    fn of(verdict: &VerdictView) -> Self {
        Self {
            verdict: verdict.verdict,
            reason: verdict.reason.clone(),
            expected: Some(verdict.expected),
            as_expected: verdict.as_expected,
            memcgs: verdict.memcgs,
            stayed: verdict.stayed,
            ids_held: verdict.ids_held,
            charged_bytes: verdict.charged_bytes,
            held_bytes_max: verdict.held_bytes_max,
            pinned_by: verdict.pinned_by.clone(),
            gone_after: verdict.gone_after,
            pin: verdict.pin.map(str::to_owned),
        }
    }
}
