//! `memcg-trace slab`: lists or traces the kernel's slab caches.

mod watch;

use std::{io::BufWriter, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    args::{self, BtfArg, Format, OutputArgs, RowsArg},
    queued::RunOutput,
};
use crate::{
    exit::Exit,
    kernel::{clock, hooks::slab_plan, privileges, slab::listing},
    report::{
        json,
        text::{self, Page},
        view::{SlabBy, SlabRequest, SlabView},
    },
    session::{MEMCGS_UNKNOWN, OwnerWalk},
    slab::{Owners, SlabBackend, SlabConfig, SlabLedger, SlabRecord, SlabRun},
    streams::Stdout,
};

/// List slab caches: their creators, and which grow or are never released
///
/// Without --watch, reads the kernel's list once. With --watch, every creation and destruction is traced, with the
/// calling function and module, and changes are reported periodically. A cache that is destroyed but not released
/// within the grace time has leaked (the kernel logs "still has objects"); so has a cache whose module was unloaded,
/// and, up to Linux 5.8, a copy for an offline memcg. Stop with Ctrl-C or --duration to get the summary.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// Trace, and report changes that often, for example 10s or 1m; without kprobes, only compare the kernel's list
    #[arg(long, value_name = "TIME", value_parser = args::interval)]
    pub watch: Option<Duration>,

    /// Stop after this time, for example 60s or 10m
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = args::duration)]
    pub duration: Option<Duration>,

    /// Time after which a destroyed cache that is not released counts as leaked
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = args::duration)]
    pub grace: Duration,

    /// List only caches that leaked
    #[arg(long)]
    pub leaked: bool,

    /// Count them by group instead of listing them
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<SlabBy>,

    /// List only the first N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Exit with 3 if any slab cache leaked
    #[arg(long)]
    pub fail_on_leak: bool,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub rows: RowsArg,

    #[command(flatten)]
    pub output: OutputArgs,
}

const HOW_TO_READ: &str = "\
How to read it:
  aliased        the kernel merges caches of similar objects: `a -> b` means that a was requested and merged into b
  unaliased      one of the merged caches was destroyed; the cache itself stays
  MODULE         of the calling function, or else of the objects' constructor; vmlinux is the kernel itself
  init function  the cache was created by the module's init code, which is discarded afterwards and has no symbols
  LINKS          other names in /sys/kernel/slab; the kernel does not remove stale ones
  growing        caches of one origin (a call site, or a name except for numbers) that increased in at least three reports,
                 and never decreased

`ls /sys/kernel/slab | wc -l` counts names, including stale ones; this counts caches.

Examples:
  memcg-trace slab --top 20                              where the memory is
  memcg-trace slab --by module                           which module owns them
  memcg-trace slab --watch 10s --duration 10m --leaked   what leaks
  memcg-trace slab --watch 1m --by creator               which call site keeps creating them";

impl Args {
    /// Lists or traces.
    pub fn run(self) -> Result<Exit> {
        match self.watch {
            None => self.look(),
            Some(interval) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.context("cannot start the tokio runtime")?;
                runtime.block_on(watch::watch(&self, interval))
            }
        }
    }

    fn look(&self) -> Result<Exit> {
        let listing = listing::read()?;
        let per_memcg = slab_plan::has_memcg_caches();
        let memcgs = (per_memcg == Some(true)).then(|| OwnerWalk::open(self.btf.file())).transpose();
        privileges::drop_unneeded();
        let grace_ns = self.grace_ns();
        let mut ledger =
            SlabLedger::new(SlabConfig { hooked: false, tells_new: false, tells_release: false, grace_ns });
        let mut run = SlabRun {
            backend: SlabBackend::List,
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
            let copies = walk.dead(true)?.copies.map(SlabRecord::Learned);
            copies.iter().for_each(|record| ledger.apply(record, &mut Vec::new()));
            walk.owners(&ledger)
        };
        match memcgs.and_then(|walk| walk.map(|mut walk| look(&mut walk)).transpose()) {
            Ok(owners) => run.owners = owners.unwrap_or_default(),
            Err(error) => run.unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}"))),
        }
        let mut out = BufWriter::new(Stdout::new());
        self.sum_up(&mut out, &run, &ledger)
    }

    fn grace_ns(&self) -> u64 {
        u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX)
    }

    fn page(&self) -> Page {
        self.rows.page(&self.output, self.top)
    }

    /// Prints the list or the groups, and the summary.
    fn sum_up(&self, out: &mut impl RunOutput, run: &SlabRun, ledger: &SlabLedger) -> Result<Exit> {
        let request = SlabRequest { leaked: self.leaked, by: self.by, top: self.top };
        let mut view = SlabView::new(run, ledger, request);
        view.summary.lines_dropped = out.begin_summary()?;
        match self.output.format {
            Format::Text => text::slab(out, &view, self.page())?,
            Format::Json => json::slab(out, &view)?,
        }
        out.finish()?;
        Ok(if !view.summary.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && view.summary.leaked > 0 {
            Exit::Leak
        } else {
            Exit::Done
        })
    }
}
