//! The workload untraced and under each tracer, round by round: other load on the machine affects all sides of a round.

use anyhow::Result;

use super::churn::Churn;
use super::table::{Row, Unit};
use super::tracer::{Observed, Tracer};
use super::usage::ProgramTimes;

/// Runs of the tracer while the kernel measures its programs.
const PROFILED: usize = 5;

/// Results untraced, or under one tracer.
struct Side {
    name: &'static str,
    /// One for each round; `None`: it did not end in time, or failed.
    rounds: Vec<Option<Observed>>,
}

impl Side {
    fn figures(&self, figure: impl Fn(&Observed) -> f64) -> Vec<f64> {
        self.rounds.iter().flatten().map(figure).collect()
    }

    /// Ratios within rounds.
    fn times(&self, other: &Self) -> Vec<f64> {
        let rounds = self.rounds.iter().zip(&other.rounds);
        rounds.filter_map(|(this, other)| Some(this.as_ref()?.cycle_us / other.as_ref()?.cycle_us)).collect()
    }
}

/// Rows of the table. The first tracer is the one to judge: if it fails, so does the benchmark; another one has a gap.
pub fn rows(tracers: &[Tracer], rounds: usize, cycles: usize) -> Result<Vec<Row>> {
    let churn = Churn::new()?;
    let names = std::iter::once("untraced").chain(tracers.iter().map(|tracer| tracer.name));
    let mut sides: Vec<_> = names.map(|name| Side { name, rounds: Vec::new() }).collect();
    // Caches and the cgroup's files are cold.
    churn.run(cycles)?;
    for round in 0..rounds {
        // Each round starts with a different side, so that none always follows the most expensive one.
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let observed = match index.checked_sub(1) {
                None => Some(Observed::untraced(churn.run(cycles)?)),
                Some(0) => Some(tracers[0].observe(&churn, cycles)?),
                Some(tracer) => or_gap(tracers[tracer].observe(&churn, cycles)),
            };
            sides[index].rounds.push(observed);
        }
    }
    let mut rows = Vec::new();
    for side in &sides {
        let what = format!("mkdir+rmdir, {}", side.name);
        rows.push(Row::new(what, Unit::Microseconds, side.figures(|observed| observed.cycle_us)));
    }
    let (untraced, judged, others) = (&sides[0], &sides[1], &sides[2..]);
    let ratio = |side: &Side, to: &Side| {
        Row::new(format!("{} / {}", side.name, to.name), Unit::Ratio, side.times(to))
    };
    rows.push(ratio(judged, untraced).at_most(Some(1.03)));
    rows.extend(others.iter().map(|side| ratio(side, untraced)));
    rows.extend(others.iter().map(|side| ratio(judged, side)));
    for side in &sides[1..] {
        let what = format!("RSS of {}", side.name);
        rows.push(Row::new(what, Unit::Mebibytes, side.figures(|observed| observed.rss_mib)));
        let what = format!("CPU time of {} for one mkdir+rmdir", side.name);
        let goal = (side.name == judged.name).then_some(6.0);
        rows.push(Row::new(what, Unit::Microseconds, side.figures(|observed| observed.cpu_us)).at_most(goal));
    }
    let stats = ProgramTimes::enable()?;
    let profiled: Result<Vec<_>> =
        (0..PROFILED).map(|_| Ok(tracers[0].observe(&churn, cycles)?.programs_us)).collect();
    drop(stats);
    let what = format!("BPF programs of {} for one mkdir+rmdir", judged.name);
    rows.push(Row::new(what, Unit::Microseconds, profiled?).at_most(Some(1.5)));
    Ok(rows)
}

fn or_gap(observed: Result<Observed>) -> Option<Observed> {
    observed.inspect_err(|error| eprintln!("xtask: a gap: {error:#}")).ok()
}
