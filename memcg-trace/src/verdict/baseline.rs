//! `--baseline`: an earlier run, for what changed since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{GoneAfter, ScenarioName, Verdict};

/// What an earlier run said of each scenario it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(pub BTreeMap<ScenarioName, Outcome>);

/// What is compared of a verdict; a part of the `verdict` lines of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub kernel: String,
    pub controller: String,
    pub verdict: Verdict,
    pub stayed: Option<u64>,
    pub memcgs: Option<u64>,
    pub ids_held: Option<u64>,
    pub gone_after: Option<GoneAfter>,
}

/// Why a file is no baseline.
#[derive(Debug, Error)]
pub enum BaselineError {
    #[error("line {line} is not of verify -o json: {error}")]
    Line { line: usize, error: serde_json::Error },
    #[error("it has no verdict; record one with: memcg-trace verify -o json")]
    Empty,
}

#[derive(Deserialize)]
struct BaselineLine {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    scenario: Option<ScenarioName>,
}

impl Baseline {
    /// Reads the output of `verify -o json`.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let mut outcomes = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let broken = |error| BaselineError::Line { line, error };
            let BaselineLine { kind, scenario } = serde_json::from_str(text).map_err(broken)?;
            if let (Some(name), "verdict") = (scenario, kind.as_str()) {
                outcomes.insert(name, serde_json::from_str(text).map_err(broken)?);
            }
        }
        if outcomes.is_empty() { Err(BaselineError::Empty) } else { Ok(Self(outcomes)) }
    }
}

impl Outcome {
    /// The verdict is another one, or the leak is of another kind. How many stayed is no change if some do: that may depend
    /// on the moment.
    pub fn differs(&self, other: &Self) -> bool {
        let held = |outcome: &Self| outcome.ids_held.map(|held| held > 0);
        let kind = |outcome: &Self| (outcome.verdict, outcome.gone_after, held(outcome));
        kind(self) != kind(other)
    }
}
