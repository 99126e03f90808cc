//! What `memcg-trace explain` takes on a node with many zombies, pinned by the pages of many files that are open.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::churn::Churn;
use super::pinned::PinnedCgroups;
use super::table::{Row, Unit};
use super::usage::{ProgramTimes, Usage, programs_us};

/// Removed cgroups, the files that pin each of them, and the pages of a file.
const ZOMBIES: usize = 5_000;
const FILES: usize = 2;
const PAGES: usize = 30;
/// Descriptors of each file.
const OPEN: usize = 10;

const RUNS: usize = 9;
/// Makes it say how long the parts of a look took.
const LOG: (&str, &str) = ("RUST_LOG", "memcg_trace::kernel::pins=debug");

/// The last line of its output.
#[derive(Deserialize)]
struct Summary {
    refs_total: u64,
    refs_explained: u64,
    duration_ns: u64,
}

/// One run.
struct Explain {
    summary: Summary,
    whole_ms: f64,
    /// Before it ends.
    peak_mib: f64,
    programs_us: f64,
    /// Parts of the look, ms, by what it says of them.
    parts: HashMap<String, f64>,
}

/// Rows of the table.
pub fn rows(loader: &Path) -> Result<Vec<Row>> {
    let churn = Churn::new()?;
    let pinned = PinnedCgroups::leave(&churn, ZOMBIES, FILES, PAGES)?;
    let holders = pinned.hold_open(OPEN)?;
    let plain: Vec<Explain> = (0..RUNS).map(|_| Explain::run(loader, None)).collect::<Result<_>>()?;
    let stats = ProgramTimes::enable()?;
    let profiled: Vec<Explain> = (0..RUNS).map(|_| Explain::run(loader, Some(LOG))).collect::<Result<_>>()?;
    drop((stats, holders, pinned));

    let refs = plain[0].summary.refs_total;
    let (files, fds) = (ZOMBIES * FILES, ZOMBIES * FILES * OPEN);
    if plain.iter().any(|run| run.summary.refs_explained != run.summary.refs_total) {
        eprintln!("xtask: explain left references unexplained");
    }
    let of = format!("explain of {ZOMBIES} zombies");
    let samples = |runs: &[Explain], figure: fn(&Explain) -> f64| runs.iter().map(figure).collect();
    let names = profiled.iter().filter_map(|run| run.parts.get("names of files").copied()).collect();
    let whole = format!("{of}, {refs} references, {files} files, {fds} descriptors");
    Ok(vec![
        Row::new(whole, Unit::Milliseconds, samples(&plain, |run| run.whole_ms)).at_most(Some(3000.0)),
        Row::new(
            "  the look at what pins them".to_owned(),
            Unit::Milliseconds,
            samples(&plain, Explain::look_ms),
        ),
        Row::new("  peak memory (VmHWM)".to_owned(), Unit::Mebibytes, samples(&plain, |run| run.peak_mib))
            .at_most(Some(128.0)),
        Row::new(
            "  its BPF programs, for each reference".to_owned(),
            Unit::Microseconds,
            samples(&profiled, Explain::reference_us),
        )
        .at_most(Some(0.2)),
        Row::new(format!("  names of {files} files"), Unit::Milliseconds, names).at_most(Some(150.0)),
    ])
}

impl Explain {
    fn run(loader: &Path, log: Option<(&str, &str)>) -> Result<Self> {
        let start = Instant::now();
        let mut command = Command::new(loader);
        command.args(["explain", "--no-names", "--output", "json"]).stdin(Stdio::null());
        let mut child = command
            .envs(log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run memcg-trace")?;
        let stderr = BufReader::new(child.stderr.take().context("no stderr")?);
        let said = thread::spawn(move || stderr.lines().map_while(Result::ok).collect::<Vec<_>>());
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        // All is found and in memory when it begins to print, and more than a pipe holds is left.
        stdout.fill_buf().context("cannot read what explain prints")?;
        let usage = Usage::of(child.id())?;
        let programs_us = programs_us(child.id())?;
        let last = stdout.lines().last().context("explain printed nothing")?.context("cannot read it")?;
        let status = child.wait().context("cannot wait for explain")?;
        let whole_ms = start.elapsed().as_secs_f64() * 1e3;
        let said = said.join().unwrap_or_default();
        let Ok(summary) = serde_json::from_str(&last) else {
            bail!("explain printed no summary: {status}: {}", said.join("\n"));
        };
        let parts = said.iter().filter_map(|line| part(line)).collect();
        Ok(Self { summary, whole_ms, peak_mib: usage.peak_mib, programs_us, parts })
    }

    fn look_ms(&self) -> f64 {
        self.summary.duration_ns as f64 / 1e6
    }

    fn reference_us(&self) -> f64 {
        self.programs_us / self.summary.refs_total as f64
    }
}

/// A line such as `[… DEBUG memcg_trace::kernel::pins] names of files: 81.5 ms`.
fn part(line: &str) -> Option<(String, f64)> {
    let (what, ms) = line.split_once("] ")?.1.split_once(": ")?;
    Some((what.to_owned(), ms.strip_suffix(" ms")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_look_are_among_what_it_says() {
        let line = "[2026-11-27T18:00:00Z DEBUG memcg_trace::kernel::pins] names of files: 81.5 ms";
        assert_eq!(part(line), Some(("names of files".to_owned(), 81.5)));
        assert_eq!(part("memcg-trace: looking for what refers to 5000 memcgs"), None);
    }
}
