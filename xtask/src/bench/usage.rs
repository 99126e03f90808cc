//! Resources that a process has used so far.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

pub struct Usage {
    /// Resident memory, now and at most, MiB.
    pub rss_mib: f64,
    pub peak_mib: f64,
    /// CPU time of its threads, µs.
    pub cpu_us: f64,
    /// Time in the BPF programs that it has attached by links, µs; grows only while [`ProgramTimes`] lives.
    pub programs_us: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let status = read(&process.join("status"))?;
        let mib = |key| -> Result<f64> {
            let kib = status.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix("kB"));
            let kib = kib.and_then(|kib| kib.trim().parse::<f64>().ok());
            Ok(kib.with_context(|| format!("{}/status has no {key}", process.display()))? / 1024.0)
        };
        Ok(Self {
            rss_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
            cpu_us: cpu_ns(&process.join("task"))? / 1e3,
            programs_us: programs_ns(&process.join("fdinfo"), Programs::Linked)? / 1e3,
        })
    }
}

/// Time in the BPF programs that a process has open, attached or not, µs; grows only while [`ProgramTimes`] lives.
pub fn programs_us(pid: u32) -> Result<f64> {
    Ok(programs_ns(&Path::new("/proc").join(pid.to_string()).join("fdinfo"), Programs::All)? / 1e3)
}

/// Programs of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Programs {
    /// Those that it attached by links.
    Linked,
    All,
}

/// The first number of schedstat: time on a CPU (Documentation/scheduler/sched-stats.rst).
fn cpu_ns(tasks: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for task in list(tasks)? {
        // A thread may have ended since.
        let Ok(stat) = fs::read_to_string(task.join("schedstat")) else { continue };
        sum += stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default();
    }
    Ok(sum)
}

/// Links say which program they run; programs say how long they ran (bpf_link_show_fdinfo and bpf_prog_show_fdinfo in
/// kernel/bpf/syscall.c).
fn programs_ns(descriptors: &Path, which: Programs) -> Result<f64> {
    let (mut linked, mut times) = (Vec::new(), HashMap::new());
    for descriptor in list(descriptors)? {
        let Ok(info) = fs::read_to_string(&descriptor) else { continue };
        let field = |key| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        match (field("prog_id"), field("link_id"), field("run_time_ns")) {
            (Some(id), Some(_), _) => linked.push(id.to_owned()),
            (Some(id), None, Some(ns)) => drop(times.insert(id.to_owned(), ns.parse::<f64>()?)),
            _ => {}
        }
    }
    if which == Programs::All {
        return Ok(times.values().sum());
    }
    linked.sort_unstable();
    linked.dedup();
    Ok(linked.iter().filter_map(|id| times.get(id)).sum())
}

/// The kernel measures the run time of all BPF programs while this lives: some 50 ns more for each run.
pub struct ProgramTimes {
    before: String,
}

const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl ProgramTimes {
    pub fn enable() -> Result<Self> {
        let before = read(Path::new(STATS))?;
        fs::write(STATS, "1").with_context(|| format!("cannot write {STATS}"))?;
        Ok(Self { before })
    }
}

impl Drop for ProgramTimes {
    fn drop(&mut self) {
        if let Err(error) = fs::write(STATS, &self.before) {
            eprintln!("xtask: cannot restore {STATS}: {error}");
        }
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn list(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_used_a_cpu() {
        let usage = Usage::of(std::process::id()).expect("our own /proc");
        assert!(usage.rss_mib > 0.0 && usage.peak_mib >= usage.rss_mib && usage.cpu_us > 0.0);
    }
}
