//! `--baseline`: an earlier run to compare with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{GoneAfter, ScenarioName, Verdict};

/// The verdicts of an earlier run, by scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(pub BTreeMap<ScenarioName, Outcome>);

/// The fields of a verdict that are compared; part of the `verdict` lines of `-o json`.
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

/// The reason why a file cannot be used as a baseline.
#[derive(Debug, Error)]
pub enum BaselineError {
    #[error("line {line} is not output of verify -o json: {error}")]
    Line { line: usize, error: serde_json::Error },
    #[error("it contains no verdicts; create one with: memcg-trace verify -o json")]
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
    /// Whether the verdict or the kind of leak differs. The number of memcgs that stayed is not compared: it depends on
    /// timing.
    pub fn differs(&self, other: &Self) -> bool {
        let held = |outcome: &Self| outcome.ids_held.map(|held| held > 0);
        let kind = |outcome: &Self| (outcome.verdict, outcome.gone_after, held(outcome));
        kind(self) != kind(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_another_outcome() {
        let leak = |ids_held| Outcome {
            kernel: "6.12.1".to_owned(),
            controller: "cgroup v2 at /sys/fs/cgroup".to_owned(),
            verdict: Verdict::Leak,
            stayed: Some(100),
            memcgs: Some(100),
            ids_held,
            gone_after: Some(GoneAfter::DropCaches),
        };
        let other = |of: fn(&mut Outcome)| {
            let mut outcome = leak(Some(7));
            of(&mut outcome);
            outcome
        };
        let table = [
            (leak(Some(7)), false),
            (leak(Some(1)), false),
            (leak(Some(0)), true),
            (leak(None), true),
            (other(|outcome| outcome.stayed = Some(1)), false),
            (other(|outcome| outcome.kernel.clear()), false),
            (other(|outcome| outcome.verdict = Verdict::Clean), true),
            (other(|outcome| outcome.gone_after = None), true),
        ];
        for (outcome, differs) in table {
            assert_eq!(outcome.differs(&leak(Some(7))), differs, "{outcome:?}");
        }
    }
}
