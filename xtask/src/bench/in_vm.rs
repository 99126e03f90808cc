//! Measurements in a VM: tests that print a line `figure NAME MICROSECONDS` for each sample.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::drgn;
use super::table::{Row, Unit, median};
use crate::process;
use crate::test;
use crate::vm::Cgroup;
use crate::workspace::Workspace;

/// The kernel of the VM.
const SERIES: &str = "6.1";

/// Runs beside memcg-trace, if this machine has it.
const BPFTRACE: &str = "bpftrace";

fn vm(what: &str) -> String {
    format!("in a VM ({SERIES}): {what}")
}

/// What pins zombies, looked for by memcg-trace and, where its directory is given, by drgn.
pub fn pins(workspace: &Workspace, drgn: Option<&Path>) -> Result<Vec<Row>> {
    let mut figures = Figures::of_test(workspace, "cost_of_explain", drgn)?;
    let ours = figures.take("explain")?;
    let mut number = |name| Ok::<_, anyhow::Error>(median(&figures.take(name)?));
    let (references, named, memcgs) = (number("references")?, number("named")?, number("memcgs")?);
    let [theirs, theirs_named] = ["drgn", "drgn-named"].map(|name| figures.take(name).unwrap_or_default());
    let usual = median(&ours);
    let ratios = theirs.iter().map(|theirs| theirs / usual).collect();
    let ms = |us: &[f64]| us.iter().map(|us| us / 1e3).collect();
    let look = format!("what pins {memcgs:.0} zombies, {references:.0} references");
    Ok(vec![
        Row::new(vm(&look), Unit::Milliseconds, ms(&ours)),
        Row::new(vm("the same by drgn"), Unit::Milliseconds, ms(&theirs)),
        Row::new(vm("drgn / memcg-trace"), Unit::Ratio, ratios).at_least(Some(50.0)),
        Row::new(vm("references named"), Unit::Number, vec![named]).at_least(Some(references)),
        Row::new(vm("references named by drgn"), Unit::Number, theirs_named),
    ])
}

/// Rows of the table.
pub fn rows(workspace: &Workspace) -> Result<Vec<Row>> {
    let mut walks = Figures::of_test(workspace, "walk_speed", None)?;
    let mut caches = Figures::of_test(workspace, "cost_of_slab_watch", None)?;
    let mut cgroups = Figures::of_test(workspace, "cost_of_mkdir", None)?;
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
    /// Runs an ignored test of `memcg-trace/tests/vm`, with drgn beside it where its directory is given.
    fn of_test(workspace: &Workspace, test: &str, drgn: Option<&Path>) -> Result<Self> {
        let args = ["--ignored", "--nocapture", test].map(OsString::from);
        let mut stdout = Vec::new();
        let bpftrace = process::find(BPFTRACE).map(|_| BPFTRACE);
        match drgn {
            None => {
                let programs: Vec<&str> = bpftrace.into_iter().collect();
                test::in_vm(workspace, (SERIES, Cgroup::V2), "", &args, &programs, &mut stdout)?;
            }
            Some(directory) => {
                let mut vm = test::test_vm(workspace, (SERIES, Cgroup::V2), "/bin", &args)?;
                drgn::add(&mut vm, directory)?;
                test::pass(workspace, &vm, &mut stdout)?;
            }
        }
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
