//! The loader's own work, measured by memcg-trace/benches in separate processes.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::table::{Row, Unit, median};
use crate::build;
use crate::process;
use crate::workspace::Workspace;

/// A benchmark whose result is events per second of CPU time, one sample for each batch or replay.
struct Rate {
    what: &'static str,
    bench: &'static str,
    argument: &'static str,
    /// Millions per second.
    goal: f64,
}

const RATES: [Rate; 3] = [
    Rate { what: "events through decode, merge, ledger", bench: "ledger", argument: "throughput", goal: 5.0 },
    Rate { what: "recorded events replayed", bench: "replay", argument: "summary", goal: 1.0 },
    Rate { what: "with a line of JSON for each step", bench: "replay", argument: "json", goal: 1.5 },
];

/// Runs of each benchmark beside the same one of the baseline.
const PAIRS: usize = 5;

#[derive(Deserialize)]
struct Throughput {
    events_per_second: Vec<f64>,
}

/// A ledger that holds as many memcgs as there are memcg IDs.
#[derive(Deserialize)]
struct Memory {
    memcgs: u64,
    /// Mean length of their paths.
    path_bytes: u64,
    before_bytes: u64,
    after_bytes: u64,
}

/// What `scan` takes to tell of a full node.
#[derive(Deserialize)]
struct Scan {
    memcgs: u64,
    /// Besides the program.
    peak_bytes: u64,
    cpu_ms: f64,
}

/// Ledgers of growing size.
#[derive(Deserialize)]
struct Growth {
    sizes: Vec<Size>,
}

#[derive(Deserialize)]
struct Size {
    memcgs: u64,
    /// One figure a batch.
    event_ns: Vec<f64>,
    memcg_bytes: u64,
}

/// Rows of the table; with a baseline also ratios to it.
pub fn rows(workspace: &Workspace, baseline: Option<&Workspace>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for rate in &RATES {
        let measure = |workspace: &Workspace| -> Result<Vec<f64>> {
            let measured: Throughput = measure(workspace, rate.bench, rate.argument)?;
            Ok(measured.events_per_second.iter().map(|rate| rate / 1e6).collect())
        };
        let (mut samples, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..baseline.map_or(1, |_| PAIRS) {
            let measured = measure(workspace)?;
            if let Some(baseline) = baseline {
                ratios.push(median(&measured) / median(&measure(baseline)?));
            }
            samples.extend(measured);
        }
        let row = Row::new(rate.what.to_owned(), Unit::MillionsPerSecond, samples);
        rows.push(row.at_least(Some(rate.goal)));
        if baseline.is_some() {
            rows.push(Row::new("  / baseline".to_owned(), Unit::Ratio, ratios));
        }
    }
    let what = "paths read for container and unit".to_owned();
    rows.push(Row::new(what, Unit::MillionsPerSecond, paths(workspace)?).at_least(Some(1.0)));
    let what = "CPU time to find the names of a container".to_owned();
    rows.push(Row::new(what, Unit::Microseconds, names(workspace)?).at_most(Some(30.0)));
    let memory: Memory = measure(workspace, "ledger", "memory")?;
    rows.push(Row::new(memory.what(), Unit::Mebibytes, vec![memory.mib()]).at_most(Some(24.0)));
    for format in ["text", "json"] {
        let scan: Scan = measure(workspace, "scan", format)?;
        let what = format!("scan of {} zombies: peak memory, {format}", scan.memcgs);
        rows.push(Row::new(what, Unit::Mebibytes, vec![scan.peak_bytes as f64 / f64::from(1 << 20)]));
        let what = format!("CPU time of their view and {format}");
        rows.push(Row::new(what, Unit::Milliseconds, vec![scan.cpu_ms]));
    }
    let growth: Growth = measure(workspace, "ledger", "growth")?;
    for Size { memcgs, event_ns, memcg_bytes } in growth.sizes {
        rows.push(Row::new(format!("an event, ledger of {memcgs} memcgs"), Unit::Nanoseconds, event_ns));
        let bytes = vec![memcg_bytes as f64];
        rows.push(Row::new(format!("a memcg, ledger of {memcgs} memcgs"), Unit::Bytes, bytes));
    }
    Ok(rows)
}

/// Millions of cgroup paths per second of CPU time that are parsed for container and unit, one sample per batch.
fn paths(workspace: &Workspace) -> Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Paths {
        paths_per_second: Vec<f64>,
    }
    let measured: Paths = measure(workspace, "names", "paths")?;
    Ok(measured.paths_per_second.iter().map(|rate| rate / 1e6).collect())
}

/// Microseconds of CPU time to find the names of a container, one sample per batch.
fn names(workspace: &Workspace) -> Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Names {
        container_us: Vec<f64>,
    }
    let measured: Names = measure(workspace, "names", "node")?;
    Ok(measured.container_us)
}

impl Memory {
    fn what(&self) -> String {
        format!("ledger of {} memcgs, paths of {} bytes", self.memcgs, self.path_bytes)
    }

    fn mib(&self) -> f64 {
        self.after_bytes.saturating_sub(self.before_bytes) as f64 / f64::from(1 << 20)
    }
}

fn measure<T: DeserializeOwned>(workspace: &Workspace, name: &str, what: &str) -> Result<T> {
    let bench = || -> Result<Command> {
        let mut command = build::static_cargo(workspace, "bench")?;
        command.current_dir(&workspace.root).args(["--package", "memcg-trace", "--bench", name]);
        Ok(command)
    };
    process::run(bench()?.arg("--no-run"))?;
    let output = process::capture(bench()?.args(["--quiet", "--", what]))?;
    serde_json::from_str(&output).with_context(|| format!("the benchmark {name} printed {output:?}"))
}
