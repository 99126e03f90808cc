//! `--expect`: what a run must show.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use thiserror::Error;

use super::{ScenarioName, Verdict};

/// What is expected of each scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Of those that are not listed: `clean` unless said otherwise.
    others: Option<Verdict>,
    listed: BTreeMap<ScenarioName, Verdict>,
}

/// How a verdict relates to what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Differs {
    /// It is what was expected, or was not to be tried.
    No,
    /// It cannot be told.
    Unknown,
    /// Another verdict, but no leak.
    Other,
    /// A leak that was not expected.
    Leak,
}

/// Why a file of expectations cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("line {line}: expected \"SCENARIO VERDICT\", as in \"tmpfs leak\"")]
    Form { line: usize },
    #[error("line {line}: there is no scenario \"{name}\"")]
    Scenario { line: usize, name: String },
    #[error("line {line}: \"{verdict}\" is none of clean, leak, late and skipped")]
    Verdict { line: usize, verdict: String },
}

impl Expectation {
    /// The same of every scenario.
    pub fn all(verdict: Verdict) -> Self {
        Self { others: Some(verdict), listed: BTreeMap::new() }
    }

    /// A scenario and its verdict on each line; `#` begins a comment. Scenarios that are not listed are to be clean.
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

    /// What is expected of this scenario.
    pub fn of(&self, name: ScenarioName) -> Verdict {
        self.listed.get(&name).copied().or(self.others).unwrap_or(Verdict::Clean)
    }

    /// Compares. A scenario that was skipped counts as unknown if it was `wanted` by name or is listed: skipped is not
    /// passed.
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
