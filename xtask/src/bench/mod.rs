//! `cargo xtask bench`: the cost of tracing.

mod churn;
mod drgn;
mod explain;
mod history;
mod in_vm;
mod ledger;
mod pinned;
mod serve;
mod sides;
mod start;
mod table;
mod tracer;
mod usage;
mod walk;
mod zombies;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use self::table::Table;
use self::tracer::Tracer;
use crate::build;
use crate::process::{self, find, is_root, step};
use crate::workspace::{Workspace, cargo};

/// Measure the cost of tracing for the machine and the loader, and compare it with the goals.
///
/// Cost for the machine: rounds of creating and removing a cgroup in the hierarchy of the memory controller, untraced,
/// under memcg-trace, and under bpftrace with the equivalent three tracepoints. Each round has all of them, and ratios
/// are computed within it, so that other load on the machine affects them equally. Cost for the loader: events per
/// second through decode, merge and ledger, and resident memory when tracking as many memcgs as there are memcg IDs.
/// Also the start of each command, a walk and a scan of 20,000 memcgs; what explain takes for 5,000 zombies; what the service takes at rest and with 10,000
/// zombies; in a VM, a walk of 65,000, by program and through /proc/kcore; and slab caches created and destroyed there,
/// traced and untraced.
///
/// A figure is the median of its samples, with quartiles. A missed goal is not a failure.
#[derive(clap::Args)]
pub struct Args {
    /// Rounds of mkdir and rmdir
    #[arg(long, value_name = "N", default_value_t = 15)]
    rounds: usize,
    /// Cgroups created and removed in each part of a round
    #[arg(long, value_name = "N", default_value_t = 3000)]
    cycles: usize,
    /// Only three rounds: for a quick look, too few to judge
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Run without bpftrace
    #[arg(long)]
    no_bpftrace: bool,
    /// Measure only these parts
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Another checkout, of the commit to compare with: it is built, and runs in the same rounds
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// Compare explain with drgn, in the VM: a directory with drgn, from `pip install --target DIR drgn`, and with the file
    /// `vmlinux` of Debian's linux-image-…-cloud-amd64-dbg for the VM's kernel. Without it its rows have a gap
    #[arg(long, value_name = "DIR")]
    drgn: Option<PathBuf>,
    /// Add the results to docs/BENCH.md
    #[arg(long)]
    append: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Creating and removing cgroups, traced and untraced
    Cgroups,
    /// The loader's own work: ledger, replay, names
    Loader,
    /// The start of commands
    Start,
    /// A walk and a scan of 20,000 memcgs
    Scan,
    /// What pins 5,000 zombies, with 300,000 references
    Explain,
    /// The service: at rest, while cgroups come and go, with 10,000 zombies
    Serve,
    /// Walks and slab caches in a VM
    Vm,
    /// What pins zombies in a VM, beside drgn
    Drgn,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if !is_root() {
        bail!("the benchmark creates cgroups: run \"cargo xtask bench\" as root");
    }
    let loader = build::build(workspace)?;
    let baseline = args.baseline.as_deref().map(built).transpose()?;
    let baseline_loader = baseline.as_ref().map(Workspace::loader);
    let mut tracers = vec![Tracer::memcg_trace("memcg-trace", &loader)];
    tracers.extend(baseline_loader.iter().map(|loader| Tracer::memcg_trace("baseline", loader)));
    if !args.no_bpftrace {
        if find("bpftrace").is_none() {
            bail!("bpftrace is missing: run \"cargo xtask setup\", or pass --no-bpftrace");
        }
        tracers.push(Tracer::bpftrace());
    }
    let busy = busy_percent()?;
    if busy > 10.0 {
        eprintln!(
            "xtask: other load keeps the CPUs {busy:.0} % busy: the figures are noisy; \"nice -n -19\" helps"
        );
    }
    let rounds = if args.quick { 3 } else { args.rounds };
    let mut table = Table::default();
    for part in Part::value_variants() {
        if !args.only.is_empty() && !args.only.contains(part) {
            continue;
        }
        let rows = match part {
            Part::Cgroups => {
                let what = format!("mkdir+rmdir, {rounds} rounds of {} x {}", 1 + tracers.len(), args.cycles);
                step(&what, || sides::rows(&tracers, rounds, args.cycles))
            }
            Part::Loader => step("ledger, replay and names", || ledger::rows(workspace, baseline.as_ref())),
            Part::Start => step("starts", || start::rows(&loader, baseline_loader.as_deref())),
            Part::Scan => step("scan", || walk::rows(&loader)),
            Part::Explain => step("explain", || explain::rows(&loader)),
            Part::Serve => step("serve", || serve::rows(&loader, &workspace.scratch())),
            Part::Vm => step("walks and slab caches in a VM", || in_vm::rows(workspace)),
            Part::Drgn => step("what pins zombies in a VM", || in_vm::pins(workspace, args.drgn.as_deref())),
        };
        // As soon as it is there: what follows may fail.
        let measured = Table::of(rows?);
        print!("{measured}");
        table.extend(measured);
    }
    if args.append {
        history::append(&workspace.root, args.baseline.as_deref(), busy, &table)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds another checkout by its own means.
fn built(dir: &Path) -> Result<Workspace> {
    step("build the baseline", || process::run(cargo().current_dir(dir).args(["xtask", "build"])))?;
    Workspace::at(dir)
}

/// CPU utilisation while idle.
fn busy_percent() -> Result<f64> {
    let (idle, total) = cpu_ticks()?;
    thread::sleep(Duration::from_secs(1));
    let (idle_then, total_then) = cpu_ticks()?;
    Ok(100.0 * (1.0 - (idle_then - idle) / (total_then - total).max(1.0)))
}

/// CPU time since boot, all CPUs: idle (including iowait), and total.
fn cpu_ticks() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    Ok((ticks.iter().skip(3).take(2).sum(), ticks.iter().sum()))
}
