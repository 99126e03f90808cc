//! `memcg-trace scan -o json`: what it lists, and what it adds up to.

use std::process::Command;

use serde_json::Value;

use super::{
    cgroup::Cgroup,
    process::{command, run},
    tracer::parse,
};

/// Everything that one scan printed, and how it ended.
pub struct Scan {
    pub code: Option<i32>,
    /// Memcgs or groups.
    pub lines: Vec<Value>,
    pub summary: Value,
    pub stderr: String,
}

impl Scan {
    pub fn run(arguments: &[&str]) -> Self {
        Self::of(command().args(["scan", "-o", "json"]).args(arguments))
    }

    /// The same for a command that a test made.
    pub fn of(command: &mut Command) -> Self {
        let output = run(command);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
        let summary = lines.pop().filter(|last| last["type"] == "summary");
        let summary = summary.unwrap_or_else(|| panic!("the last line is no summary: {stderr}"));
        Self { code: output.status.code(), lines, summary, stderr }
    }

    /// The memcgs listed below a cgroup, in this order: cgroup id and state.
    pub fn below(&self, cgroup: &Cgroup) -> Vec<(u64, &str)> {
        let above = format!("{}/", cgroup.path());
        let memcgs = self.lines.iter().filter(|line| line["type"] == "memcg").map(|line| &line["memcg"]);
        let below =
            memcgs.filter(|memcg| memcg["path"].as_str().is_some_and(|path| path.starts_with(&above)));
        let fact = |memcg: &'_ Value| memcg["cgroup_id"].as_u64();
        below.filter_map(|memcg| Some((fact(memcg)?, memcg["state"].as_str()?))).collect()
    }

    /// A count of the summary.
    pub fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no count \"{name}\" in {}", self.summary))
    }

    /// The walk and the kernel's own counts agree, and the walk's are consistent.
    pub fn assert_agrees(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stderr, self.summary);
        assert_eq!(self.summary["kernel_agrees"], true, "{}", self.summary);
        let [memcgs, live, removed, dying] =
            ["memcgs", "live", "removed", "dying"].map(|name| self.count(name));
        // The rest is just being made.
        assert!(memcgs >= live + removed + dying, "{}", self.summary);
        let held = self.count("ids_held_by_dying");
        assert!(self.count("ids_used") >= live + removed + held, "{}", self.summary);
    }
}
