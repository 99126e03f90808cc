//! Measurements in a VM: tests that print a line `figure NAME MICROSECONDS` for each sample.

use std::collections::HashMap;
use std::ffi::OsString;

use anyhow::{Context as _, Result};

use super::table::{Row, Unit};
use crate::process;
use crate::test;
use crate::vm::Cgroup;
use crate::workspace::Workspace;

/// The kernel of the VM.
const SERIES: &str = "6.1";

/// Runs beside memcg-trace, if this machine has it.
const BPFTRACE: &str = "bpftrace";

/// Rows of the table.
pub fn rows(workspace: &Workspace) -> Result<Vec<Row>> {
    let mut walks = Figures::of_test(workspace, "walk_speed")?;
    let mut caches = Figures::of_test(workspace, "cost_of_slab_watch")?;
    let mut cgroups = Figures::of_test(workspace, "cost_of_mkdir")?;
    let vm = |what: &str| format!("in a VM ({SERIES}): {what}");
    let ratios = |of: &[f64], to: &[f64]| -> Vec<f64> { of.iter().zip(to).map(|(of, to)| of / to).collect() };
    let (program, kcore) = (walks.take("walk")?, walks.take("kcore")?);
    let times = ratios(&kcore, &program);
    let (untraced, traced) = (caches.take("untraced")?, caches.take("traced")?);
    let cost = ratios(&traced, &untraced);
    let mkdir = cgroups.take("untraced")?;
    let mut beside = |tracer| Ok::<_, anyhow::Error>(ratios(&cgroups.take(tracer)?, &mkdir));
    let (by_kprobe, by_tracepoint) = (beside("kprobe")?, beside("tracepoint")?);
    let by_bpftrace = beside(BPFTRACE).unwrap_or_default();
    // What each adds: the untraced cycle is in both.
    let added = |ratio: &f64| ratio - 1.0;
    let parts = by_kprobe.iter().zip(&by_bpftrace).map(|(one, other)| added(one) / added(other)).collect();
    Ok(vec![
        Row::new(vm("walk of 65,000 memcgs, each"), Unit::Microseconds, program),
        Row::new(vm("the same through /proc/kcore, each"), Unit::Microseconds, kcore),
        Row::new(vm("/proc/kcore / walk"), Unit::Ratio, times).at_least(Some(20.0)),
        Row::new(vm("mkdir+rmdir, untraced"), Unit::Microseconds, mkdir),
        Row::new(vm("kprobe backend / untraced"), Unit::Ratio, by_kprobe).at_most(Some(1.05)),
        Row::new(vm("tracepoint backend / untraced"), Unit::Ratio, by_tracepoint),
        Row::new(vm("bpftrace, the same kprobes / untraced"), Unit::Ratio, by_bpftrace),
        Row::new(vm("what the kprobe backend adds / what bpftrace adds"), Unit::Ratio, parts)
            .at_most(Some(0.25)),
        Row::new(vm("slab cache created+destroyed, untraced"), Unit::Microseconds, untraced),
        Row::new(vm("the same under slab --watch"), Unit::Microseconds, traced),
        Row::new(vm("slab --watch / untraced"), Unit::Ratio, cost).at_most(Some(1.25)),
    ])
}

/// Samples by name, in the order of the rounds.
struct Figures(HashMap<String, Vec<f64>>);

impl Figures {
    /// Runs an ignored test of `memcg-trace/tests/vm`.
    fn of_test(workspace: &Workspace, test: &str) -> Result<Self> {
        let args = ["--ignored", "--nocapture", test].map(OsString::from);
        let mut stdout = Vec::new();
        let bpftrace = process::find(BPFTRACE).map(|_| BPFTRACE);
        let programs: Vec<&str> = bpftrace.into_iter().collect();
        test::in_vm(workspace, (SERIES, Cgroup::V2), "", &args, &programs, &mut stdout)?;
        Ok(Self::parse(&String::from_utf8_lossy(&stdout)))
    }

    fn parse(stdout: &str) -> Self {
        let mut figures = HashMap::<_, Vec<_>>::new();
        for line in stdout.lines() {
            // The first figure follows the name of the test on the same line.
            let figure = line.split_once("figure ").and_then(|(_, figure)| figure.split_once(' '));
            if let Some((name, us)) = figure
                && let Ok(us) = us.trim().parse()
            {
                figures.entry(name.to_owned()).or_default().push(us);
            }
        }
        Self(figures)
    }

    /// The samples of one name.
    fn take(&mut self, name: &str) -> Result<Vec<f64>> {
        self.0.remove(name).with_context(|| format!("the test in the VM measured no \"{name}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_among_what_a_test_program_says() {
        let mut figures =
            Figures::parse("running 1 test\ntest speed ... figure a 1.5\nfigure b 7\r\nfigure a 2\nok\n");
        assert_eq!(figures.take("a").expect("a"), [1.5, 2.0]);
        assert_eq!(figures.take("b").expect("b"), [7.0]);
        assert!(figures.take("c").is_err());
    }
}
