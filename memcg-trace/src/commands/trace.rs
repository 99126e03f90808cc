//! `memcg-trace trace`: follows memcgs live, with a summary at the end.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    announce,
    args::{self, BtfArg, NamesArgs},
    flight::FlightArgs,
    follow::{Printer, Shown},
    queued::QueuedOutput,
};
use crate::{
    exit::Exit,
    kernel::clock,
    record::Backend,
    session::{Session, Setup, Stop},
    source::Wanted,
    streams::Stdout,
};

/// 256 MiB for each CPU: more than a minute's worth of the fastest storm.
const PERF_PAGES_MAX: usize = 1 << 16;

/// Follow memcgs live: one line per event, one per leak, a summary at the end
///
/// Every memcg is followed from creation to release. A removed memcg that is still in the kernel after the grace time
/// counts as leaked; if it is freed after that, as late. Stop with Ctrl-C, --duration or --count to get the summary.
///
/// Names of container, image, pod and namespace are looked up on the node while the container runs, and kept until its
/// memcg is freed. "memcg-trace whois" shows what is known about a path, and from where.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Time after which a removed memcg that is not freed, or a destroyed slab cache that is not released, counts as leaked
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = args::duration)]
    pub grace: Duration,

    /// Stop after this time, for example 60s or 10m
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    pub duration: Option<Duration>,

    /// Stop after this many lines
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Source of events; auto uses the best that this kernel supports, and reports which and why
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    /// Pages per CPU's perf buffer, a power of two up to 65536 [default: what makes up to 2 MiB, 64 MiB
    /// for all CPUs, a quarter of the memory limit]
    #[arg(long, value_name = "N", value_parser = power_of_two)]
    pub perf_pages: Option<usize>,

    /// Skip the initial walk: zombies from before the start stay unknown, and lost events cannot be reconciled
    #[arg(long)]
    pub no_walk: bool,

    /// Also follow slab caches: one line per cache that is created, destroyed, released or leaked, and a section in the
    /// summary
    ///
    /// A destroyed cache that is not released within --grace counts as leaked. See `slab` for details, and for caches only.
    /// They are not part of a recording.
    #[arg(long)]
    pub slab: bool,

    #[command(flatten)]
    pub btf: BtfArg,

    /// Record the run to this file, for "memcg-trace replay"; it contains cgroup paths, task names and container names,
    /// and is readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    #[command(flatten)]
    pub flight: FlightArgs,

    #[command(flatten)]
    pub names: NamesArgs,

    #[command(flatten)]
    pub shown: Shown,
}

/// `--backend`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendChoice {
    Auto,
    /// css callbacks of the memory controller: exact states, memcg IDs, failed allocations
    Kprobe,
    /// cgroup tracepoints: zombies, names, ages; no release of IDs, no errnos
    Tracepoint,
}

impl BackendChoice {
    /// `None`: the best available.
    pub fn only(self) -> Option<Backend> {
        match self {
            Self::Auto => None,
            Self::Kprobe => Some(Backend::Kprobe),
            Self::Tracepoint => Some(Backend::Tracepoint),
        }
    }
}

impl Args {
    fn grace_ns(&self) -> u64 {
        u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Traces until stopped.
    pub fn run(self) -> Result<Exit> {
        // A single thread, as capabilities are dropped per thread. The thread that looks up names drops its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the tokio runtime")?.block_on(self.trace())
    }

    async fn trace(self) -> Result<Exit> {
        let session = Session::start(Setup {
            wanted: Wanted {
                backend: self.backend.only(),
                perf_pages: self.perf_pages,
                walk: !self.no_walk,
                grace_ns: self.grace_ns(),
                clock: clock::offsets(),
            },
            btf: self.btf.file(),
            slab: self.slab,
            by: self.shown.rollup(),
            record: self.record.as_deref(),
            flight: self.flight.flight(),
            names: self.names.resolver()?,
            refresh: None,
        })?;
        // Before announcing that it traces: whoever reads that may send a signal.
        let stop = Stop::listen()?;
        if let Some(slab) = session.slab() {
            announce::slab(&slab.run);
        }
        announce::tracing(session.book().start());
        announce::details(session.book().start(), session.snapshot());
        let out = QueuedOutput::start(Stdout::new()).context("cannot start a thread for the output")?;
        let mut printer = Printer::new(session.book().start(), &self.shown, self.count, out)?;
        let ended = session.run(stop, self.duration, &mut printer).await?;
        let exit = printer.finish(&ended.book, &ended.end, ended.slab.as_ref())?;
        Ok(if ended.recorded { exit } else { Exit::Failed })
    }
}

/// `--perf-pages`
pub fn power_of_two(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(pages) if pages.is_power_of_two() && pages <= PERF_PAGES_MAX => Ok(pages),
        _ => Err(format!("not a power of two up to {PERF_PAGES_MAX}")),
    }
}
