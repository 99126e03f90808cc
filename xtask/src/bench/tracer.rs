//! The tracers that run during the workload.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::churn::Churn;
use super::usage::Usage;

/// A program that prints at least one line for each mkdir, rmdir and release.
pub struct Tracer {
    pub name: &'static str,
    command: Vec<String>,
}

/// A run of the workload, for one mkdir and rmdir: the median time, and means of what the tracer used.
pub struct Observed {
    pub cycle_us: f64,
    /// The tracer's resident memory after it.
    pub rss_mib: f64,
    /// The tracer's CPU time, and the time in its BPF programs; see [`Usage`].
    pub cpu_us: f64,
    pub programs_us: f64,
}

impl Observed {
    pub fn untraced(cycle_us: f64) -> Self {
        Self { cycle_us, rss_mib: 0.0, cpu_us: 0.0, programs_us: 0.0 }
    }
}

/// Prints the same facts as memcg-trace, as far as the formatted tracepoints have them.
const BPFTRACE: &str = r#"tracepoint:cgroup:cgroup_mkdir, tracepoint:cgroup:cgroup_rmdir, tracepoint:cgroup:cgroup_release {
    printf("%llu %d %s %d %s\n", nsecs, pid, comm, args->id, str(args->path));
}"#;
/// Minimum number of lines that a tracer prints per cgroup.
const LINES: usize = 3;

/// Startup timeout: bpftrace compiles its program first.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

impl Tracer {
    pub fn memcg_trace(name: &'static str, loader: &Path) -> Self {
        let command = [&loader.to_string_lossy(), "trace", "--output", "json"];
        Self { name, command: command.map(str::to_owned).to_vec() }
    }

    /// The service, with these arguments.
    pub fn serve(loader: &Path, arguments: &[&str]) -> Self {
        let loader = loader.to_string_lossy();
        let command = [&*loader, "serve"].into_iter().chain(arguments.iter().copied());
        Self { name: "memcg-trace serve", command: command.map(str::to_owned).collect() }
    }

    /// bpftrace in its own mount namespace, as it needs tracefs: the mount goes away with it.
    pub fn bpftrace() -> Self {
        let shell = r#"mount -t tracefs tracefs /sys/kernel/tracing && exec bpftrace -e "$0""#;
        let command = ["unshare", "--mount", "sh", "-c", shell, BPFTRACE];
        Self { name: "bpftrace", command: command.map(str::to_owned).to_vec() }
    }

    /// Traces a run.
    pub fn observe(&self, churn: &Churn, cycles: usize) -> Result<Observed> {
        let mut running = self.start()?;
        running.await_ready(churn)?;
        let before = Usage::of(running.child.id())?;
        let cycle_us = churn.run(cycles)?;
        let after = Usage::of(running.child.id())?;
        let output = running.stop()?;
        let told = count(&output, &churn.trail());
        if told < LINES * cycles {
            eprintln!("xtask: {} printed {told} lines about {cycles} cgroups: it lost some", self.name);
        }
        Ok(Observed {
            cycle_us,
            rss_mib: after.rss_mib,
            cpu_us: (after.cpu_us - before.cpu_us) / cycles as f64,
            programs_us: (after.programs_us - before.programs_us) / cycles as f64,
        })
    }

    pub fn start(&self) -> Result<Running> {
        // A memfd. A pipe would need a reader, which would take CPU time from the workload.
        let output = memfd_create(c"output", MFdFlags::MFD_CLOEXEC).context("cannot make a memfd")?;
        let output = File::from(output);
        let handle = || output.try_clone().context("cannot duplicate a descriptor");
        // The tracer is killed if we exit for any reason.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]).args(self.command.iter().map(OsStr::new));
        command.stdin(Stdio::null()).stdout(handle()?).stderr(handle()?);
        let child = command.spawn().with_context(|| format!("cannot run {}", self.name))?;
        Ok(Running { name: self.name, child, output })
    }
}

/// A running tracer; dropping it ends it.
pub struct Running {
    name: &'static str,
    child: Child,
    /// Its stdout and stderr.
    output: File,
}

impl Running {
    /// Creates and removes cgroups until the tracer has printed the whole life of one: only then are all hooks
    /// attached.
    fn await_ready(&mut self, churn: &Churn) -> Result<()> {
        let start = Instant::now();
        for attempt in 0_u64.. {
            let name = format!("attempt-{attempt}.");
            churn.cycle(&name)?;
            thread::sleep(Duration::from_millis(150));
            if count(&self.output()?, &name) >= LINES {
                break;
            }
            if let Some(status) = self.child.try_wait().context("cannot wait")? {
                bail!("{} exited immediately: {status}: {}", self.name, self.last_words());
            }
            if start.elapsed() > START {
                bail!("{} prints nothing about cgroups: {}", self.name, self.last_words());
            }
        }
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGINT; returns its output.
    pub fn stop(mut self) -> Result<String> {
        let status = self.end()?;
        if !status.is_some_and(|status| status.success()) {
            let status = status.map_or("does not exit".to_owned(), |status| status.to_string());
            bail!("{}: {status}: {}", self.name, self.last_words());
        }
        self.output()
    }

    /// `None`: it ignored SIGINT and was killed.
    fn end(&mut self) -> Result<Option<std::process::ExitStatus>> {
        let start = Instant::now();
        let mut asked = false;
        while start.elapsed() < STOP {
            if let Some(status) = self.child.try_wait().context("cannot wait")? {
                return Ok(Some(status));
            }
            if !asked {
                // Not reaped yet, so the pid is still valid.
                kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).context("cannot send SIGINT")?;
                asked = true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().and_then(|()| self.child.wait()).context("cannot kill")?;
        Ok(None)
    }

    /// What it printed so far.
    pub fn output(&self) -> Result<String> {
        // Reopened: the descriptor shares its offset with the tracer's.
        let output = fs::read(format!("/proc/self/fd/{}", self.output.as_raw_fd()));
        Ok(String::from_utf8_lossy(&output.context("cannot read a memfd")?).into_owned())
    }

    fn last_words(&self) -> String {
        let output = self.output().unwrap_or_default();
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(3)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("xtask: cannot end {}: {error:#}", self.name);
        }
    }
}

fn count(output: &str, name: &str) -> usize {
    output.lines().filter(|line| line.contains(name)).count()
}
