//! `memcg-trace slab`: the kernel's slab caches, at one look or from look to look.

mod watch;

use std::{
    io::{self, BufWriter},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Format, color};
use crate::{
    exit::Exit,
    kernel::{clock, hooks::slab_plan, privileges, slab::listing},
    report::{
        json, text,
        view::{SlabBy, SlabRequest, SlabView},
    },
    session::{MEMCGS_UNKNOWN, OwnerWalk},
    slab::{Config, Ledger, Owners, SlabRecord, SlabRun},
};

/// List slab caches: who made them, which only grow, which are never released
///
/// Without --watch, one look at what the kernel lists. With --watch, every creation and destruction is traced, with the
/// function and module that asked, and each look says what changed since the one before. A cache that is destroyed and not
/// released within the grace time has leaked (the kernel says "still has objects"); so has one whose module is gone, and, up
/// to Linux 5.8, one that is a copy for a memcg that is offline. Stop with Ctrl-C or --duration: then comes the summary.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// Trace, and look every so many seconds; where the kernel has no kprobes, looking is all it does
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,

    /// Stop after this time, for example 60s or 10m
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,

    /// How long a destroyed cache may stay before it counts as leaked
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// List only caches that leaked
    #[arg(long)]
    pub leaked: bool,

    /// Count by what they have in common instead of listing them
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<SlabBy>,

    /// List only the first N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Exit with 3 if a slab cache leaked
    #[arg(long)]
    pub fail_on_leak: bool,

    /// Type information of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
    /// .BTF, or a .btf.tar.xz of BTFHub
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,

    /// Output format; json is one object a line
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
}

const HOW_TO_READ: &str = "\
How to read it:
  aliased        the kernel merges caches of like objects: `a -> b` says that a was asked for and b given out
  unaliased      one of the names of a cache was destroyed; the cache stays
  MODULE         of the function that asked, or else of the constructor of the objects; vmlinux is the kernel itself
  init function  the cache was made while the module was initialised; that code is thrown away, and has no names
  LINKS          other names in /sys/kernel/slab; the kernel leaves them there when they are given up
  growing        caches of one origin (a call site, or a name but for numbers) that became more at three looks at least,
                 and never less

`ls /sys/kernel/slab | wc -l` counts names, stale ones included; this counts caches.

Examples:
  memcg-trace slab --top 20                              where the memory is
  memcg-trace slab --by module                           whose they are
  memcg-trace slab --watch 10 --duration 10m --leaked    what leaks
  memcg-trace slab --watch 60 --by creator               which call site makes more and more of them";

impl Args {
    /// One look, or many.
    pub fn run(self) -> Result<Exit> {
        match self.watch {
            None => self.look(),
            Some(seconds) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.context("cannot start the tokio runtime")?;
                runtime.block_on(watch::watch(&self, Duration::from_secs(seconds)))
            }
        }
    }

    fn look(&self) -> Result<Exit> {
        let listing = listing::read()?;
        let per_memcg = slab_plan::has_memcg_caches();
        let memcgs = (per_memcg == Some(true)).then(|| OwnerWalk::open(self.btf.as_deref())).transpose();
        privileges::drop_unneeded();
        let grace_ns = self.grace_ns();
        let mut ledger =
            Ledger::new(Config { hooked: false, tells_new: false, tells_release: false, grace_ns });
        let mut run = SlabRun {
            backend: "list",
            backend_reason: None,
            unknown: Vec::new(),
            clock: clock::offsets(),
            started_ns: None,
            ended_ns: listing.ended_ns,
            grace_ns,
            per_memcg,
            listed: Some(listing.counts()),
            undecodable: 0,
            owners: Owners::new(),
        };
        run.unknown.push(("who created them".to_owned(), "it takes --watch".to_owned()));
        ledger.apply(&SlabRecord::Walk(listing), &mut Vec::new());
        let mut look = |walk: &mut OwnerWalk| {
            walk.dead()?.iter().for_each(|record| ledger.apply(record, &mut Vec::new()));
            walk.owners(&ledger)
        };
        match memcgs.and_then(|walk| walk.map(|mut walk| look(&mut walk)).transpose()) {
            Ok(owners) => run.owners = owners.unwrap_or_default(),
            Err(error) => run.unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}"))),
        }
        let mut out = BufWriter::new(io::stdout());
        self.sum_up(&mut out, &run, &ledger)
    }

    fn grace_ns(&self) -> u64 {
        u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Prints the list or the groups, and the summary.
    fn sum_up(&self, out: &mut impl io::Write, run: &SlabRun, ledger: &Ledger) -> Result<Exit> {
        let request = SlabRequest { leaked: self.leaked, by: self.by, top: self.top };
        let view = SlabView::new(run, ledger, request);
        match self.output {
            Format::Text => text::slab(out, &view, color(self.color))?,
            Format::Json => json::slab(out, &view)?,
        }
        out.flush()?;
        Ok(if !view.summary.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && view.summary.leaked > 0 {
            Exit::Leak
        } else {
            Exit::Done
        })
    }
}
