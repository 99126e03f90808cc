//! `cargo xtask bench`: the cost of tracing.

mod churn;
mod in_vm;
mod ledger;
mod table;
mod tracer;
mod walk;

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::churn::Churn;
use self::in_vm::Figures;
use self::table::{Row, Table, Unit};
use self::tracer::Tracer;
use crate::build;
use crate::process::{find, is_root, step};
use crate::workspace::Workspace;

/// Measure the cost of tracing for the machine and the loader, and compare it with the goals.
///
/// Cost for the machine: rounds of creating and removing a cgroup in the hierarchy of the memory controller, untraced,
/// under memcg-trace, and under bpftrace with the equivalent three tracepoints. Each round has all three, and ratios
/// are computed within it, so that other load on the machine affects them equally. Cost for the loader: events per
/// second through decode, merge and ledger, and resident memory when tracking as many memcgs as there are memcg IDs.
/// Also a walk and a scan of 20,000 memcgs; in a VM, a walk of 65,000, by program and through /proc/kcore; and slab
/// caches created and destroyed there, traced and untraced.
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
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if !is_root() {
        bail!("the benchmark creates cgroups: run \"cargo xtask bench\" as root");
    }
    let loader = build::build(workspace)?;
    let mut tracers = vec![Tracer::memcg_trace(&loader)];
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
    let what = format!("mkdir+rmdir, {rounds} rounds of {} x {}", 1 + tracers.len(), args.cycles);
    let sides = step(&what, || sides(&tracers, rounds, args.cycles))?;
    let throughput = step("decode, merge and ledger", || ledger::throughput(workspace))?;
    let memory = step("memory of the ledger", || ledger::memory(workspace))?;
    let replay =
        step("replay", || Ok((ledger::replay(workspace, "summary")?, ledger::replay(workspace, "json")?)))?;
    let names = step("names", || Ok((ledger::paths(workspace)?, ledger::names(workspace)?)))?;
    let walk = step("scan", || walk::measure(&loader))?;
    let mut walks = step("walks in a VM", || Figures::of_test(workspace, "walk_speed"))?;
    let mut caches = step("slab caches in a VM", || Figures::of_test(workspace, "leaky_churn"))?;

    let mut table = Table::new();
    for side in &sides {
        table.add(Row::new(format!("mkdir+rmdir, {}", side.name), Unit::Microseconds, side.cycle_us.clone()));
    }
    let (untraced, traced) = (&sides[0], &sides[1..]);
    for (side, goal) in traced.iter().zip([Some(1.10), None]) {
        let ratios = side.cycle_us.iter().zip(&untraced.cycle_us).map(|(traced, untraced)| traced / untraced);
        let row = Row::new(format!("{} / untraced", side.name), Unit::Ratio, ratios.collect());
        table.add(row.at_most(goal));
    }
    for side in traced {
        table.add(Row::new(format!("RSS of {}", side.name), Unit::Mebibytes, side.rss_mib.clone()));
    }
    table.add(
        Row::new("events through decode, merge, ledger".to_owned(), Unit::MillionsPerSecond, throughput)
            .at_least(Some(2.0)),
    );
    table.add(
        Row::new("recorded events replayed".to_owned(), Unit::MillionsPerSecond, replay.0)
            .at_least(Some(1.0)),
    );
    table.add(Row::new("with a line of JSON for each step".to_owned(), Unit::MillionsPerSecond, replay.1));
    let what = "paths read for container and unit".to_owned();
    table.add(Row::new(what, Unit::MillionsPerSecond, names.0).at_least(Some(1.0)));
    let what = "CPU time to find the names of a container".to_owned();
    table.add(Row::new(what, Unit::Microseconds, names.1).at_most(Some(1000.0)));
    table.add(Row::new(memory.what(), Unit::Mebibytes, vec![memory.mib()]));
    let full = traced[0].rss_mib.iter().map(|loader| loader + memory.mib());
    table.add(
        Row::new("RSS of memcg-trace with that ledger".to_owned(), Unit::Mebibytes, full.collect())
            .at_most(Some(64.0)),
    );
    let what = format!("walk of {} memcgs, each", walk::MEMCGS);
    table.add(Row::new(what, Unit::Microseconds, walk.memcg_us).at_most(Some(1.0)));
    let what = format!("CPU time of scan --no-names -o json of {} memcgs, once loaded", walk::MEMCGS);
    table.add(Row::new(what, Unit::Milliseconds, walk.scan_ms).at_most(Some(150.0)));
    let vm = |what: &str| format!("in a VM ({}): {what}", in_vm::SERIES);
    let ratios = |of: &[f64], to: &[f64]| of.iter().zip(to).map(|(of, to)| of / to).collect();
    let (program, kcore) = (walks.take("walk")?, walks.take("kcore")?);
    let times = ratios(&kcore, &program);
    table.add(Row::new(vm("walk of 65,000 memcgs, each"), Unit::Microseconds, program));
    table.add(Row::new(vm("the same through /proc/kcore, each"), Unit::Microseconds, kcore));
    table.add(Row::new(vm("/proc/kcore / walk"), Unit::Ratio, times).at_least(Some(20.0)));
    let (untraced, traced) = (caches.take("untraced")?, caches.take("traced")?);
    let cost = ratios(&traced, &untraced);
    table.add(Row::new(vm("slab cache created+destroyed, untraced"), Unit::Microseconds, untraced));
    table.add(Row::new(vm("the same under slab --watch"), Unit::Microseconds, traced));
    table.add(Row::new(vm("slab --watch / untraced"), Unit::Ratio, cost));
    print!("{table}");
    Ok(ExitCode::SUCCESS)
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

/// Results untraced, or under one tracer: one sample per round.
struct Side {
    name: &'static str,
    cycle_us: Vec<f64>,
    rss_mib: Vec<f64>,
}

/// The first side is untraced.
fn sides(tracers: &[Tracer], rounds: usize, cycles: usize) -> Result<Vec<Side>> {
    let churn = Churn::new()?;
    let names = std::iter::once("untraced").chain(tracers.iter().map(|tracer| tracer.name));
    let side = |name| Side { name, cycle_us: Vec::new(), rss_mib: Vec::new() };
    let mut sides: Vec<_> = names.map(side).collect();
    // Caches and the cgroup's files are cold.
    churn.run(cycles)?;
    for round in 0..rounds {
        // Each round starts with a different side, so that none always follows the most expensive one.
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let side = &mut sides[index];
            match index.checked_sub(1) {
                None => side.cycle_us.push(churn.run(cycles)?),
                Some(tracer) => {
                    let (cycle_us, rss_mib) = tracers[tracer].observe(&churn, cycles)?;
                    side.cycle_us.push(cycle_us);
                    side.rss_mib.push(rss_mib);
                }
            }
        }
    }
    Ok(sides)
}
