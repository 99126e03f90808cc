//! `memcg-trace explain -o json`: what pins which memcg, and the acts that it prints.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    cgroup::Cgroup,
    process::{command, run},
    tracer::parse,
};

/// Everything that it printed, and how it ended.
pub struct Explain {
    pub code: Option<i32>,
    pub pins: Vec<Value>,
    pub summary: Value,
    pub stderr: String,
}

impl Explain {
    /// What pins the memcgs of a cgroup that is gone, and of those that were below it.
    pub fn of(cgroup: &Cgroup) -> Self {
        Self::run(&[cgroup.path()])
    }

    /// What it prints must add up.
    pub fn run(arguments: &[&str]) -> Self {
        let output = run(command().args(["explain", "-o", "json"]).args(arguments));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut pins: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
        let summary = pins.pop().filter(|last| last["type"] == "summary").unwrap_or(Value::Null);
        let explain = Self { code: output.status.code(), pins, summary, stderr };
        if !explain.summary.is_null() {
            let sum: u64 = explain.pins.iter().map(refs).sum();
            assert_eq!(explain.summary["refs_total"], sum, "{:#?}", explain.pins);
        }
        explain
    }

    /// The parts of one memcg.
    pub fn of_cgroup(&self, id: u64) -> Vec<&Value> {
        self.pins.iter().filter(|pin| pin["memcg"]["cgroup_id"] == id).collect()
    }

    /// Everything is explained; otherwise what is not.
    pub fn complete(&self) -> Result<(), String> {
        match self.code {
            Some(0) => Ok(()),
            _ => Err(format!("{} {} {:#?}", self.stderr, self.summary, self.pins)),
        }
    }

    /// Runs each act that is a command, as somebody would who pastes it. None may end a process that is none of these.
    pub fn act(&self, ours: &BTreeSet<u32>) {
        let acts: BTreeSet<&str> = self
            .pins
            .iter()
            .filter(|pin| pin["act_is_command"] == true && pin["act_kind"] != "explain")
            .filter_map(|pin| pin["act"].as_str())
            .collect();
        for act in acts {
            for step in act.split(';').filter_map(|step| step.trim().strip_prefix("kill ")) {
                let pids: BTreeSet<u32> = step.split(' ').filter_map(|pid| pid.parse().ok()).collect();
                assert!(pids.is_subset(ours), "{act}: none of {ours:?}");
            }
            let shell = Command::new("sh").args(["-c", act]).stderr(Stdio::null()).status();
            shell.unwrap_or_else(|error| panic!("run {act}: {error}"));
        }
    }
}

pub fn refs(pin: &Value) -> u64 {
    pin["refs"].as_u64().unwrap_or_else(|| panic!("no number of references in {pin}"))
}
