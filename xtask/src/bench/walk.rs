//! The cost of `memcg-trace scan` with many memcgs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::Deserialize;

use super::churn::Churn;
use super::table::{Row, Unit, median};
use crate::process;

/// Number of memcgs created for it.
const MEMCGS: usize = 20_000;
const SCANS: usize = 15;

/// The last line of a scan's output.
#[derive(Deserialize)]
struct Summary {
    memcgs: u64,
    duration_ns: u64,
}

/// Rows of the table: time of the walk for each memcg (program run, copies, decoding), and CPU time of a scan without
/// that of a scan of few memcgs, which is mostly loading the program.
pub fn rows(loader: &Path) -> Result<Vec<Row>> {
    let churn = Churn::new()?;
    let (few_ms, _) = scans(loader)?;
    let crowd = Crowd::new(&churn)?;
    let (scan_ms, memcg_us) = scans(loader)?;
    drop(crowd);
    let few_ms = median(&few_ms);
    let scan_ms = scan_ms.into_iter().map(|ms| ms - few_ms).collect();
    let walk = format!("walk of {MEMCGS} memcgs, each");
    let scan = format!("CPU time of scan --no-names -o json of {MEMCGS} memcgs, once loaded");
    Ok(vec![
        Row::new(walk, Unit::Microseconds, memcg_us).at_most(Some(0.35)),
        Row::new(scan, Unit::Milliseconds, scan_ms).at_most(Some(40.0)),
    ])
}

/// CPU time of each scan (ms), and time of its walk per memcg (µs).
fn scans(loader: &Path) -> Result<(Vec<f64>, Vec<f64>)> {
    let scan = |_| {
        let before = cpu_of_children()?;
        let output =
            process::capture(Command::new(loader).args(["scan", "--all", "--no-names", "--output", "json"]))?;
        let ms = (cpu_of_children()? - before).as_secs_f64() * 1e3;
        let summary = output.lines().last().context("the scan printed nothing")?;
        let summary: Summary = serde_json::from_str(summary).context("the scan printed no summary")?;
        Ok((ms, summary.duration_ns as f64 / 1e3 / summary.memcgs as f64))
    };
    let scans: Result<Vec<_>> = (0..SCANS).map(scan).collect();
    Ok(scans?.into_iter().unzip())
}

/// CPU time of the children that have been reaped.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the resource usage")?;
    let time = |time: TimeVal| Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec() as u32 * 1000);
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

/// Many cgroups, removed when this is dropped.
struct Crowd<'a> {
    churn: &'a Churn,
    names: Vec<String>,
}

impl<'a> Crowd<'a> {
    fn new(churn: &'a Churn) -> Result<Self> {
        let mut crowd = Self { churn, names: Vec::new() };
        for number in 0..MEMCGS {
            let name = format!("memcg-{number}");
            churn.make(&name)?;
            crowd.names.push(name);
        }
        Ok(crowd)
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = self.churn.remove(name) {
                eprintln!("xtask: {error:#}");
            }
        }
    }
}
