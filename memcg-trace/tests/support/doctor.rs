//! `memcg-trace doctor -o json`: its answers, and what they come to.

use std::process::Command;

use serde_json::Value;

use super::{
    process::{command, run},
    tracer::parse,
};

/// Everything that it printed, and how it ended.
pub struct Doctor {
    pub code: Option<i32>,
    lines: Vec<Value>,
    pub summary: Value,
}

impl Doctor {
    pub fn run(arguments: &[&str]) -> Self {
        Self::of(command().args(["doctor", "-o", "json"]).args(arguments))
    }

    /// The same for a command that a test made. Every no must have a reason and a next step, every doubt a reason.
    pub fn of(command: &mut Command) -> Self {
        let output = run(command);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut lines: Vec<_> = stdout.lines().map(parse).collect();
        let summary = lines.pop().filter(|last| last["type"] == "summary");
        let summary = summary.unwrap_or_else(|| panic!("no summary, {}: {stdout}{stderr}", output.status));
        let doctor = Self { code: output.status.code(), lines, summary };
        for ability in doctor.lines.iter().filter(|line| line["type"] == "ability") {
            let says = |field: &str| ability[field].as_str().is_some_and(|text| !text.is_empty());
            let whole = match ability["answer"].as_str() {
                Some("yes") => says("detail"),
                Some("no") => says("reason") && says("next"),
                Some("unknown") => says("reason"),
                _ => false,
            };
            assert!(whole, "{ability}");
        }
        doctor
    }

    fn line(&self, kind: &str, what: &str) -> &Value {
        let line = self.lines.iter().find(|line| line["type"] == kind && line["what"] == what);
        line.unwrap_or_else(|| panic!("no {kind} \"{what}\" in {:#?}", self.lines))
    }

    /// `yes`, `no` or `unknown`, and why.
    pub fn ability(&self, what: &str) -> (&str, &str) {
        let ability = self.line("ability", what);
        let why = ability["detail"].as_str().or(ability["reason"].as_str());
        (ability["answer"].as_str().unwrap_or_default(), why.unwrap_or_default())
    }

    pub fn next_step(&self, what: &str) -> &str {
        self.line("ability", what)["next"].as_str().unwrap_or_default()
    }

    pub fn severity(&self, what: &str) -> &str {
        self.line("finding", what)["severity"].as_str().unwrap_or_default()
    }

    /// What does not work or could not be told.
    pub fn lacks(&self) -> Vec<&str> {
        let lacks = self.lines.iter().filter(|line| line["type"] == "ability" && line["answer"] != "yes");
        lacks.filter_map(|line| line["what"].as_str()).collect()
    }

    pub fn remedies(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line["remedy"].as_str()).collect()
    }
}
