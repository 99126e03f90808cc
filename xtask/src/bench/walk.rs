//! The cost of `memcg-trace scan` with many memcgs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::Deserialize;

use super::churn::Churn;
use super::table::median;
use crate::process;

/// Number of memcgs created for it.
pub const MEMCGS: usize = 20_000;
const SCANS: usize = 15;

/// One sample per scan.
pub struct Figures {
    /// Time of the walk per memcg: program run, copies, decoding.
    pub memcg_us: Vec<f64>,
    /// CPU time of a scan, minus that of a scan of few memcgs, which is mostly loading the program.
    pub scan_ms: Vec<f64>,
}

/// The last line of a scan's output.
#[derive(Deserialize)]
struct Summary {
    memcgs: u64,
    duration_ns: u64,
}

pub fn measure(loader: &Path) -> Result<Figures> {
    let churn = Churn::new()?;
    let (few_ms, _) = scans(loader)?;
    let crowd = Crowd::new(&churn)?;
    let (scan_ms, memcg_us) = scans(loader)?;
    drop(crowd);
    let few_ms = median(&few_ms);
    Ok(Figures { memcg_us, scan_ms: scan_ms.into_iter().map(|ms| ms - few_ms).collect() })
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
