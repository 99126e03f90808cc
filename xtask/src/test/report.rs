//! The steps of a run: each is timed and counted, a failure does not end the run, and what tests print tells where it is from.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::slowest::Slowest;
use crate::process::step;

/// Tests that the report at the end names.
const SLOWEST: usize = 10;

/// A step that runs a test program; it writes to what it is given.
pub struct Tests<'a> {
    name: String,
    run: RunTests<'a>,
}

type RunTests<'a> = Box<dyn FnOnce(&mut (dyn Write + Send)) -> Result<()> + Send + 'a>;

impl<'a> Tests<'a> {
    pub fn new(name: String, run: impl FnOnce(&mut (dyn Write + Send)) -> Result<()> + Send + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// A step that ended.
struct Step {
    name: String,
    took: Duration,
    passed: bool,
}

impl Step {
    fn run(name: &str, work: impl FnOnce() -> Result<()>) -> Self {
        let start = Instant::now();
        let outcome = step(name, work);
        if let Err(error) = &outcome {
            eprintln!("xtask: {name}: {error:#}");
        }
        Self { name: name.to_owned(), took: start.elapsed(), passed: outcome.is_ok() }
    }
}

/// What ran so far.
pub struct Report<'a> {
    filter: &'a [String],
    start: Instant,
    steps: Vec<Step>,
    slowest: Slowest,
}

impl<'a> Report<'a> {
    /// Of steps whose name contains one of `filter`; of all, if that is empty.
    pub fn new(filter: &'a [String]) -> Self {
        Self { filter, start: Instant::now(), steps: Vec::new(), slowest: Slowest::default() }
    }

    fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part))
    }

    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        if self.wants(name) {
            self.always(name, work);
        }
    }

    pub fn always(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        self.steps.push(Step::run(name, work));
    }

    /// Runs a test program, whose output is printed as it comes.
    pub fn tests(&mut self, name: &str, work: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) {
        if self.wants(name) {
            let mut tests = self.slowest.watch(name, io::stdout());
            self.steps.push(Step::run(name, || work(&mut tests)));
        }
    }

    /// Runs test programs, `lanes` of them at a time, the first ones first. Each line of their output begins with the step's name, unless there is
    /// one step.
    pub fn at_once(&mut self, lanes: usize, tests: Vec<Tests<'_>>) {
        let mut tests: Vec<_> = tests.into_iter().filter(|tests| self.wants(&tests.name)).collect();
        if let [_] = &*tests {
            tests.drain(..).for_each(|Tests { name, run }| self.tests(&name, run));
        }
        let next = Mutex::new(tests.into_iter());
        let next = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        let ended = Mutex::new(&mut *self);
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| {
                    while let Some(Tests { name, run }) = next() {
                        let mut slowest = Slowest::default();
                        let mut out = slowest.watch(&name, Prefixed { prefix: &name, line: Vec::new() });
                        let step = Step::run(&name, || run(&mut out));
                        let mut report = ended.lock().unwrap_or_else(PoisonError::into_inner);
                        report.steps.push(step);
                        report.slowest.join(slowest);
                    }
                });
            }
        });
    }

    /// Prints how long each step and the slowest tests took, and what failed.
    pub fn end(self) -> ExitCode {
        for line in self.slowest.lines(SLOWEST) {
            println!("{line}");
        }
        println!("steps:");
        for Step { name, took, passed } in &self.steps {
            println!("{:7.1} s  {name}{}", took.as_secs_f64(), if *passed { "" } else { "  failed" });
        }
        let failed = self.steps.iter().filter(|step| !step.passed).count();
        let took = self.start.elapsed().as_secs_f64();
        println!("{} passed, {failed} failed in {took:.0} s", self.steps.len() - failed);
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Writes whole lines to stdout, each with where it is from.
struct Prefixed<'a> {
    prefix: &'a str,
    line: Vec<u8>,
}

impl Write for Prefixed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                let mut out = io::stdout().lock();
                write!(out, "{}: ", self.prefix)?;
                out.write_all(&self.line)?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Prefixed<'_> {
    /// A machine that stops in the middle of a test leaves the test's name.
    fn drop(&mut self) {
        if !self.line.is_empty() {
            println!("{}: {}", self.prefix, String::from_utf8_lossy(&self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failure_ends_nothing_and_only_what_is_asked_for_runs() {
        let filter = ["vm".to_owned()];
        let mut report = Report::new(&filter);
        let passes = |name: &str| Tests::new(name.to_owned(), |_| Ok(()));
        let fails = Tests::new("vm 5.10".to_owned(), |out| {
            out.write_all(b"test lives::first ... ok\ntest lives::last ... ")?;
            bail!("the machine stopped")
        });
        report.at_once(2, vec![fails, passes("vm 6.1"), passes("native"), passes("vm 6.12")]);
        let mut steps: Vec<_> = report.steps.iter().map(|step| (&*step.name, step.passed)).collect();
        steps.sort_unstable();
        assert_eq!(steps, [("vm 5.10", false), ("vm 6.1", true), ("vm 6.12", true)]);
        let slowest: Vec<_> = report.slowest.lines(SLOWEST).collect();
        assert!(slowest.len() == 1 && slowest[0].ends_with("vm 5.10: lives::first"), "{slowest:?}");
    }
}
