//! `cargo xtask fuzz`: the targets of fuzz/ under libFuzzer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::process::{self, step};
use crate::workspace::{Workspace, cargo};

/// Feed what reads bytes of others (recordings, BTF, paths, answers of runtimes, kernel memory) with inputs that reach new code.
///
/// An input that crashes, does not end within ten seconds or takes a GiB fails the task and is kept below
/// target/fuzz/failed. Inputs that reached new code are kept below target/fuzz/corpus, and the next run begins with them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz --seconds 60
  cargo xtask fuzz pins --seconds 3600")]
pub struct Args {
    /// The targets, as in fuzz/corpus; all of them, if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Time for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
}

/// Coverage of edges, as libFuzzer reads it, by a compiler that is stable: what `-Zsanitizer` would set up.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                         -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                         -Cforce-frame-pointers=yes";
/// Seconds and MiB that no input may take.
const TIME_MAX: u32 = 10;
const MEMORY_MAX: u32 = 1024;

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let seeds = workspace.root.join("fuzz/corpus");
    let known = directories(&seeds)?;
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target \"{unknown}\": one of {}", known.join(", "));
    }
    build::objects(workspace)?;
    let programs = step("build the fuzz targets", || build(workspace))?;
    let targets = if args.targets.is_empty() { &known } else { &args.targets };
    let mut runs = Vec::new();
    for target in targets {
        let run = step(target, || fuzz(workspace, &programs.join(target), target, args.seconds))?;
        println!("{run}");
        runs.push(run);
    }
    Ok(if runs.iter().all(|run| run.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The names of the directories in a directory, sorted.
fn directories(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let directories = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Where everything is that is not in the checkout.
fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

/// Builds all of them, and returns their directory.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let (fuzz, target) = (workspace.root.join("fuzz"), directory(workspace).join("build"));
    // The versions of all dependencies are those of the product.
    fs::copy(workspace.root.join("Cargo.lock"), fuzz.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let mut cargo = cargo();
    // Where a target is named, build scripts and macros are built without RUSTFLAGS.
    let arch = workspace.arch;
    cargo.current_dir(&fuzz).args(["build", "--profile", "fuzz", "--target", arch.triple, "--target-dir"]);
    cargo.arg(&target).env(arch.cargo_variable("RUSTFLAGS"), RUSTFLAGS);
    if std::env::var_os("MEMCG_TRACE_EBPF_DIR").is_none() {
        cargo.env("MEMCG_TRACE_EBPF_DIR", workspace.objects());
    }
    process::run(&mut cargo)?;
    Ok(target.join(arch.triple).join("fuzz"))
}

/// How one target did.
struct Run {
    target: String,
    executions: u64,
    /// Edges that were reached.
    edges: u64,
    /// Inputs that are kept.
    inputs: u64,
    memory_mb: u64,
    passed: bool,
}

fn fuzz(workspace: &Workspace, program: &Path, target: &str, seconds: u64) -> Result<Run> {
    let directory = directory(workspace);
    let (corpus, failed) = (directory.join("corpus").join(target), directory.join("failed").join(target));
    for made in [&corpus, &failed] {
        fs::create_dir_all(made).with_context(|| format!("cannot create {}", made.display()))?;
    }
    let log_path = directory.join(target).with_extension("log");
    let log = File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={TIME_MAX}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MAX}")).args(["-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", failed.display()));
    // The first directory gets the new inputs.
    command.arg(&corpus).arg(workspace.root.join("fuzz/corpus").join(target));
    let status = command.stderr(log).status().with_context(|| format!("cannot run {}", program.display()))?;
    let log = fs::read_to_string(&log_path).unwrap_or_default();
    if !status.success() {
        eprintln!("xtask: {target} failed ({status}); the input is in {}", failed.display());
        let from = log.lines().position(|line| line.contains("panicked") || line.starts_with("=="));
        log.lines().skip(from.unwrap_or(0)).take(20).for_each(|line| eprintln!("  {line}"));
    }
    Ok(Run::of(target, &log, status.success()))
}

impl Run {
    /// By what libFuzzer says at the end: `stat::NAME: NUMBER`, and the last line with `cov: N ft: N corp: N/BYTES`.
    fn of(target: &str, log: &str, passed: bool) -> Self {
        let last = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let rest = text.split_once(name).map_or("", |(_, rest)| rest.trim_start());
            rest.split(|c: char| !c.is_ascii_digit())
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        Self {
            target: target.to_owned(),
            executions: after(log, "stat::number_of_executed_units:"),
            edges: after(last, " cov: "),
            inputs: after(last, " corp: "),
            memory_mb: after(log, "stat::peak_rss_mb:"),
            passed,
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, executions, edges, inputs, memory_mb, passed } = self;
        let failed = if *passed { "" } else { ", failed" };
        write!(
            f,
            "{target:<10} {executions:>12} executions, {edges:>6} edges, {inputs:>5} inputs, {memory_mb:>5} MiB{failed}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_at_the_end() {
        let log = "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb\n#9\tDONE   cov: 12 ft: 14 corp: 7/19b lim: 4\n\
                   stat::number_of_executed_units: 9\nstat::peak_rss_mb:              38\n";
        let run = Run::of("paths", log, true);
        assert_eq!([run.executions, run.edges, run.inputs, run.memory_mb], [9, 12, 7, 38]);
        assert_eq!(Run::of("paths", "", false).executions, 0);
    }
}
