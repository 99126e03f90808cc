//! `--expect`: the expected verdicts of a run.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use thiserror::Error;

use super::{ScenarioName, Verdict};

/// The expected verdict of each scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// For scenarios that are not listed; `clean` by default.
    others: Option<Verdict>,
    listed: BTreeMap<ScenarioName, Verdict>,
}

/// How a verdict differs from the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Differs {
    /// It is the expected one, or the scenario was not to be tried.
    No,
    /// Unknown.
    Unknown,
    /// Another verdict, but not a leak.
    Other,
    /// An unexpected leak.
    Leak,
}

/// The reason why a file of expectations cannot be parsed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("line {line}: expected \"SCENARIO VERDICT\", as in \"tmpfs leak\"")]
    Form { line: usize },
    #[error("line {line}: there is no scenario \"{name}\"")]
    Scenario { line: usize, name: String },
    #[error("line {line}: \"{verdict}\" is not one of clean, leak, late and skipped")]
    Verdict { line: usize, verdict: String },
}

impl Expectation {
    /// The same verdict for every scenario.
    pub fn all(verdict: Verdict) -> Self {
        Self { others: Some(verdict), listed: BTreeMap::new() }
    }

    /// One scenario and its verdict per line; `#` starts a comment. Scenarios that are not listed must be clean.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut listed = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default();
            let words: Vec<_> = text.split_whitespace().collect();
            let (name, verdict) = match words.as_slice() {
                [] => continue,
                [name, verdict] => (*name, *verdict),
                _ => return Err(ParseError::Form { line }),
            };
            let scenario = ScenarioName::from_str(name, true)
                .map_err(|_| ParseError::Scenario { line, name: name.to_owned() })?;
            let verdict = Verdict::ALL
                .into_iter()
                .filter(|known| *known != Verdict::Inconclusive)
                .find(|known| known.name() == verdict.to_lowercase())
                .ok_or_else(|| ParseError::Verdict { line, verdict: verdict.to_owned() })?;
            listed.insert(scenario, verdict);
        }
        Ok(Self { others: None, listed })
    }

    /// The expected verdict of this scenario.
    pub fn of(&self, name: ScenarioName) -> Verdict {
        self.listed.get(&name).copied().or(self.others).unwrap_or(Verdict::Clean)
    }

    /// Compares a verdict with the expected one. A skipped scenario counts as unknown if it was `wanted` by name or is
    /// listed: skipped does not count as a pass.
    pub fn compare(&self, name: ScenarioName, wanted: bool, verdict: Verdict) -> Differs {
        match (self.of(name), verdict) {
            (expected, verdict) if expected == verdict => Differs::No,
            (_, Verdict::Leak) => Differs::Leak,
            (_, Verdict::Inconclusive) => Differs::Unknown,
            (_, Verdict::Skipped) if wanted || self.listed.contains_key(&name) => Differs::Unknown,
            (_, Verdict::Skipped) => Differs::No,
            (_, Verdict::Clean | Verdict::Late) => Differs::Other,
        }
    }
}
