//! `memcg-trace trace`: follow lifecycles live, sum up at the end.

use std::{
    io::{self, BufWriter},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    announce,
    follow::{Printer, Shown},
    names::NamesArgs,
};
use crate::{
    exit::Exit,
    kernel::clock,
    record::Backend,
    session::{Session, Setup, Stop},
    source::Wanted,
};

/// Follow memcgs live: one line for each step of a life, one for each leak, a summary at the end
///
/// Every memcg is followed from creation to release. A removed memcg that is still in the kernel after the grace time
/// counts as leaked; if it is freed later, it was late. Stop with Ctrl-C, --duration or --count: then comes the summary.
///
/// Container, image, pod and namespace are named by what is on the node while the container lives, and kept until its
/// memcg is freed. "memcg-trace whois" shows for a path what is known, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long a removed memcg may stay before it counts as leaked
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// Stop after this time, for example 60s or 10m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,

    /// Stop after this many lines
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Where events come from; auto takes the best that this kernel allows and says which and why
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    /// Pages of each CPU's perf buffer, a power of two [default: up to 512, 64 MiB for all CPUs]
    #[arg(long, value_name = "N", value_parser = power_of_two)]
    pub perf_pages: Option<usize>,

    /// Do not read what is already there: zombies of before the start stay unknown, and loss is not made good for
    #[arg(long)]
    pub no_walk: bool,

    /// Follow slab caches, too: a line for each that is created, destroyed, released or leaked, and a section of the summary
    ///
    /// A cache counts as leaked 5 seconds after it was destroyed. See `slab` for the meaning, and for caches alone. They are
    /// not part of a recording.
    #[arg(long)]
    pub slab: bool,

    /// Type information of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
    /// .BTF, or a .btf.tar.xz of BTFHub
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,

    /// Record the run to this file, for "memcg-trace replay"; it holds paths of cgroups, names of tasks and of containers,
    /// and only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

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
    /// cgroup directories: zombies, names, ages; no ID release, no errno
    Tracepoint,
}

impl BackendChoice {
    /// `None`: the best.
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

    /// Traces until it is told to stop.
    pub fn run(self) -> Result<Exit> {
        // One thread: capabilities are dropped by thread, and one is enough. The one that finds names drops its own.
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
            btf: self.btf.as_deref(),
            slab: self.slab,
            by: self.shown.by,
            record: self.record.as_deref(),
            names: self.names.resolver()?,
        })?;
        // Before it says that it traces: who reads that may send a signal.
        let stop = Stop::listen()?;
        if let Some(slab) = session.slab() {
            announce::slab(&slab.run);
        }
        announce::tracing(session.book().start());
        announce::details(session.book().start(), session.snapshot());
        let out = BufWriter::new(io::stdout());
        let mut printer = Printer::new(session.book().start(), &self.shown, self.count, out)?;
        let ended = session.run(stop, self.duration, &mut printer).await?;
        let exit = printer.finish(&ended.book, &ended.end, ended.slab.as_ref())?;
        Ok(if ended.recorded { exit } else { Exit::Failed })
    }
}

fn power_of_two(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(pages) if pages.is_power_of_two() => Ok(pages),
        _ => Err("not a power of two".to_owned()),
    }
}
