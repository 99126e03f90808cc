//! The traced workload: creates and removes a cgroup in a loop.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A cgroup in the hierarchy of the memory controller, in which the workload runs; removed on drop, and on Ctrl-C.
pub struct Churn {
    path: PathBuf,
    dir: File,
    hierarchy: Hierarchy,
    /// Result of [`Churn::unfreed`] while idle.
    baseline: u64,
    interrupted: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    V1,
    V2,
}

/// Cycles between two clock reads: takes less than a time slice, but much longer than a clock read.
const CHUNK: usize = 20;
/// If the kernel frees nothing for this long, it is done: an RCU grace period takes some ten milliseconds.
const SETTLED: Duration = Duration::from_millis(500);
/// Name of the cgroup that is created and removed.
const NAME: &str = "cycle";

impl Churn {
    pub fn new() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal sets the flag, a second one has its default effect.
            flag::register_conditional_default(signal, interrupted.clone())
                .and_then(|_| flag::register(signal, interrupted.clone()))
                .context("cannot listen for signals")?;
        }
        let (mount, hierarchy) = memory_hierarchy()?;
        let path = mount.join(format!("memcg-trace-bench.{}", process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create the cgroup {}", path.display()))?;
        let dir = File::open(&path).with_context(|| format!("cannot open {}", path.display()));
        let dir = dir.inspect_err(|_| drop(fs::remove_dir(&path)))?;
        let mut churn = Self { path, dir, hierarchy, baseline: 0, interrupted };
        churn.delegate("")?;
        churn.baseline = churn.unfreed()?;
        Ok(churn)
    }

    /// Creates and removes a cgroup `cycles` times; returns the time per cycle, µs. Takes the median over chunks, as
    /// chunks in which something else used the CPU are not meaningful.
    pub fn run(&self, cycles: usize) -> Result<f64> {
        self.drain()?;
        let mut chunks_us = Vec::new();
        for _ in 0..cycles.div_ceil(CHUNK) {
            let start = Instant::now();
            for _ in 0..CHUNK {
                self.cycle(NAME)?;
            }
            chunks_us.push(start.elapsed().as_secs_f64() * 1e6 / CHUNK as f64);
        }
        // Frees outstanding cgroups, so that the next run does not pay for them.
        self.drain()?;
        Ok(super::table::median(&chunks_us))
    }

    /// Creates and removes one cgroup, unless interrupted.
    pub fn cycle(&self, name: &str) -> Result<()> {
        self.make(name)?;
        self.remove(name)
    }

    /// Creates one cgroup, unless interrupted.
    pub fn make(&self, name: &str) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        mkdirat(&self.dir, name, Mode::S_IRWXU)
            .with_context(|| format!("cannot create {}/{name}", self.path.display()))
    }

    /// Lets the children of one have memcgs; on v1 they always do.
    pub fn delegate(&self, name: &str) -> Result<()> {
        let control = self.path.join(name).join("cgroup.subtree_control");
        match self.hierarchy {
            Hierarchy::V1 => Ok(()),
            Hierarchy::V2 => fs::write(control, "+memory").context("cannot enable the memory controller"),
        }
    }

    /// The cgroup in which it runs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir)
            .with_context(|| format!("cannot remove {}/{name}", self.path.display()))
    }

    /// The string that a tracer prints for each cycle of [`Self::run`]: the path below the root of the hierarchy.
    pub fn trail(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("/{name}/{NAME}")
    }

    /// Waits until the removed cgroups are freed, or no more are: others may create cgroups, too.
    fn drain(&self) -> Result<()> {
        let (mut fewest, mut since) = (u64::MAX, Instant::now());
        while since.elapsed() < SETTLED {
            match self.unfreed()? {
                unfreed if unfreed <= self.baseline => break,
                unfreed if unfreed < fewest => (fewest, since) = (unfreed, Instant::now()),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
        Ok(())
    }

    fn unfreed(&self) -> Result<u64> {
        // v1 only counts all cgroups, including live ones.
        let (path, line, column) = match self.hierarchy {
            Hierarchy::V1 => (Path::new("/proc/cgroups").to_owned(), "memory", 2),
            Hierarchy::V2 => (self.path.join("cgroup.stat"), "nr_dying_descendants", 1),
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = text.lines().map(|line| line.split_whitespace());
        let count = lines.find_map(|mut words| (words.next() == Some(line)).then(|| words.nth(column - 1)));
        let count = count.flatten().and_then(|count| count.parse().ok());
        count.with_context(|| format!("{} has no number for {line}", path.display()))
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        // From here on a signal ends the process at once.
        self.interrupted.store(true, Ordering::Relaxed);
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("xtask: cannot remove {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

fn memory_hierarchy() -> Result<(PathBuf, Hierarchy)> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    for mount in mounts.lines() {
        let [_, path, kind, options, ..] = mount.split(' ').collect::<Vec<_>>()[..] else { continue };
        let path = Path::new(path);
        if kind == "cgroup" && options.split(',').any(|option| option == "memory") {
            return Ok((path.to_owned(), Hierarchy::V1));
        }
        let enabled = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
        if kind == "cgroup2" && enabled.split_whitespace().any(|controller| controller == "memory") {
            return Ok((path.to_owned(), Hierarchy::V2));
        }
    }
    bail!(
        "no cgroup hierarchy has the memory controller enabled: mount one, or write \"+memory\" to the root's \
         cgroup.subtree_control"
    )
}
