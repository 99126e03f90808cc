//! docs/BENCH.md: the results of benchmarks, the newest first, each with its commit and machine.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;

use super::table::Table;
use crate::process;

const HEAD: &str = "\
# Benchmarks

Results of `cargo xtask bench --append`, the newest first. A figure is the median of its samples, beside its quartiles and its goal. Ratios are
computed within a round, in which all sides ran next to each other: they can be compared across machines, the other figures cannot.
";

/// Adds a run to the page.
pub fn append(root: &Path, table: &Table) -> Result<()> {
    let path = root.join("docs/BENCH.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let earlier = page.find("\n## ").map_or("", |at| &page[at..]);
    let page = format!("{HEAD}\n## {}\n\n```text\n{table}```\n{earlier}", heading(root)?);
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

/// Commit, its date, and the machine.
fn heading(root: &Path) -> Result<String> {
    let git = |args: &[&str]| -> Result<String> {
        let mut command = std::process::Command::new("git");
        Ok(process::capture(command.current_dir(root).args(args))?.trim().to_owned())
    };
    let commit = git(&["describe", "--always", "--dirty"])?;
    let date = git(&["log", "-1", "--format=%cs"])?;
    let kernel = uname().context("cannot read the kernel's name")?.release().to_string_lossy().into_owned();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model);
    Ok(format!("{commit} of {date}: Linux {kernel}, {cpus} CPUs, {model}"))
}
