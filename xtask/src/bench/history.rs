//! docs/BENCH.md: the results of benchmarks, the newest first, each with its commit and machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;

use super::table::Table;
use crate::process;

const HEAD: &str = "\
# Benchmarks

Results of `cargo xtask bench --append`, the newest first. A figure is the median of its samples, beside its quartiles and its goal. Ratios are
computed within a round, in which all sides ran next to each other: they can be compared across machines, the other figures cannot. What
misses its goal, and why: [SPEED.md](SPEED.md).
";

/// Adds a run to the page. `baseline`: the checkout that it was compared with; `busy`: utilisation of the CPUs by others, %.
pub fn append(root: &Path, baseline: Option<&Path>, busy: f64, table: &Table) -> Result<()> {
    let path = root.join("docs/BENCH.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let earlier = page.find("\n## ").map_or("", |at| &page[at..]);
    let (commit, machine) = (commit(root)?, machine()?);
    let baseline = baseline
        .map(self::commit)
        .transpose()?
        .map(|baseline| format!(" Baseline: {baseline}."))
        .unwrap_or_default();
    let about = format!("{machine}, {busy:.0} % busy with other work.{baseline}");
    let page = format!("{HEAD}\n## {commit}\n\n{about}\n\n```text\n{table}```\n{earlier}");
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

/// Commit and its date.
fn commit(root: &Path) -> Result<String> {
    let git = |args: &[&str]| -> Result<String> {
        let mut command = Command::new("git");
        Ok(process::capture(command.current_dir(root).args(args))?.trim().to_owned())
    };
    Ok(format!("{} of {}", git(&["describe", "--always", "--dirty"])?, git(&["log", "-1", "--format=%cs"])?))
}

fn machine() -> Result<String> {
    let kernel = uname().context("cannot read the kernel's name")?.release().to_string_lossy().into_owned();
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model);
    Ok(format!("Linux {kernel}, {cpus} CPUs, {model}"))
}
