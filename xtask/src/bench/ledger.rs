//! The loader's own work, measured by memcg-trace/benches in separate processes.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::build;
use crate::process;
use crate::workspace::Workspace;

#[derive(Deserialize)]
struct Throughput {
    events_per_second: Vec<f64>,
}

/// A ledger that holds as many memcgs as there are memcg IDs.
#[derive(Deserialize)]
pub struct Memory {
    memcgs: u64,
    /// Mean length of their paths.
    path_bytes: u64,
    before_bytes: u64,
    after_bytes: u64,
}

/// Millions of events per second of CPU time, one sample per batch.
pub fn throughput(workspace: &Workspace) -> Result<Vec<f64>> {
    let measured: Throughput = measure(workspace, "ledger", "throughput")?;
    Ok(measured.events_per_second.iter().map(|rate| rate / 1e6).collect())
}

pub fn memory(workspace: &Workspace) -> Result<Memory> {
    measure(workspace, "ledger", "memory")
}

/// Millions of recorded events per second of CPU time, one sample per replay; `what` selects the output.
pub fn replay(workspace: &Workspace, what: &str) -> Result<Vec<f64>> {
    let measured: Throughput = measure(workspace, "replay", what)?;
    Ok(measured.events_per_second.iter().map(|rate| rate / 1e6).collect())
}

/// Millions of cgroup paths per second of CPU time that are parsed for container and unit, one sample per batch.
pub fn paths(workspace: &Workspace) -> Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Paths {
        paths_per_second: Vec<f64>,
    }
    let measured: Paths = measure(workspace, "names", "paths")?;
    Ok(measured.paths_per_second.iter().map(|rate| rate / 1e6).collect())
}

/// Microseconds of CPU time to find the names of a container, one sample per batch.
pub fn names(workspace: &Workspace) -> Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Names {
        container_us: Vec<f64>,
    }
    let measured: Names = measure(workspace, "names", "node")?;
    Ok(measured.container_us)
}

impl Memory {
    pub fn what(&self) -> String {
        format!("ledger of {} memcgs, paths of {} bytes", self.memcgs, self.path_bytes)
    }

    pub fn mib(&self) -> f64 {
        self.after_bytes.saturating_sub(self.before_bytes) as f64 / f64::from(1 << 20)
    }
}

fn measure<T: DeserializeOwned>(workspace: &Workspace, name: &str, what: &str) -> Result<T> {
    let bench = || -> Command {
        let mut command = build::static_cargo("bench");
        command.current_dir(&workspace.root).args(["--package", "memcg-trace", "--bench", name]);
        command
    };
    process::run(bench().arg("--no-run"))?;
    let output = process::capture(bench().args(["--quiet", "--", what]))?;
    serde_json::from_str(&output).with_context(|| format!("the benchmark {name} printed {output:?}"))
}
