//! Time and memory that commands take on an idle node: from exec to the end, or to the first walk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::table::{Row, Unit};
use super::usage::Usage;
use crate::process;

const STARTS: usize = 15;

/// One measurement of a loader.
struct Start {
    /// `trace` until it is attached and has walked; a whole `scan`, a whole `doctor`; ms.
    trace_ms: f64,
    scan_ms: f64,
    doctor_ms: f64,
    /// Peak memory of `trace` until then, MiB: it loads more programs than any other command.
    peak_mib: f64,
}

/// Rows of the table; with a baseline also ratios to it.
pub fn rows(loader: &Path, baseline: Option<&Path>) -> Result<Vec<Row>> {
    let mut pairs = Vec::new();
    for _ in 0..STARTS {
        pairs.push((measure(loader)?, baseline.map(measure).transpose()?));
    }
    let mut rows = Vec::new();
    let mut add = |what: &str, unit, goal, figure: fn(&Start) -> f64| {
        let samples = pairs.iter().map(|(start, _)| figure(start)).collect();
        rows.push(Row::new(what.to_owned(), unit, samples).at_most(Some(goal)));
        let ratio =
            |(start, baseline): &(Start, Option<Start>)| Some(figure(start) / figure(baseline.as_ref()?));
        let ratios: Vec<_> = pairs.iter().filter_map(ratio).collect();
        if !ratios.is_empty() {
            rows.push(Row::new("  / baseline".to_owned(), Unit::Ratio, ratios));
        }
    };
    add("trace, from exec to attached and walked", Unit::Milliseconds, 120.0, |start| start.trace_ms);
    add("scan, whole process", Unit::Milliseconds, 120.0, |start| start.scan_ms);
    add("doctor, whole process", Unit::Milliseconds, 1200.0, |start| start.doctor_ms);
    add("peak memory of a start (VmHWM)", Unit::Mebibytes, 16.0, |start| start.peak_mib);
    Ok(rows)
}

fn measure(loader: &Path) -> Result<Start> {
    let (trace_ms, peak_mib) = trace(loader)?;
    let whole = |command| -> Result<f64> {
        let start = Instant::now();
        process::capture(Command::new(loader).args([command, "--output", "json"]))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    Ok(Start { trace_ms, peak_mib, scan_ms: whole("scan")?, doctor_ms: whole("doctor")? })
}

/// Time until `trace` says how many memcgs it found, and its peak memory then.
fn trace(loader: &Path) -> Result<(f64, f64)> {
    let start = Instant::now();
    let mut command = Command::new(loader);
    command.args(["trace", "--output", "json"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run memcg-trace")?;
    let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    let walked = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" memcgs")));
    let elapsed = start.elapsed();
    let usage = Usage::of(child.id());
    // Not reaped yet, so the pid is still valid.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).context("cannot send SIGINT")?;
    lines.for_each(drop);
    child.wait().context("cannot wait")?;
    if walked.is_none() {
        bail!("memcg-trace trace found no memcgs");
    }
    Ok((elapsed.as_secs_f64() * 1e3, usage?.peak_mib))
}
