//! The observer that prints events of slab caches, and periodic changes.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};

use super::Args;
use crate::{
    commands::{announce, args::Format, queued::QueuedOutput},
    exit::Exit,
    kernel::privileges,
    record::Clock,
    report::{
        json,
        text::{self, Page},
        view::{SlabBy, SlabDelta, SlabEventView},
    },
    session::{SlabObserver, SlabWatcher, Stop},
    slab::{SlabChange, SlabLedger, SlabTotals},
    streams::Stdout,
};

/// Watches until a signal or `--duration`, then prints the summary.
pub async fn watch(args: &Args, interval: Duration) -> Result<Exit> {
    let with_owners = args.by.and_then(SlabBy::owner).is_some();
    let watcher = SlabWatcher::start(args.grace_ns(), args.btf.file(), with_owners)?;
    privileges::drop_unneeded();
    // Before announcing that it traces: whoever reads that may send a signal.
    let stop = Stop::listen()?;
    announce::slab(&watcher.run);
    let mut lines = Lines {
        out: QueuedOutput::start(Stdout::new()).context("cannot start a thread for the output")?,
        format: args.output.format,
        page: args.page(),
        clock: watcher.run.clock,
        before: *watcher.ledger.totals(),
    };
    let watcher = watcher.run(stop, interval, args.duration, &mut lines).await?;
    args.sum_up(&mut lines.out, &watcher.run, &watcher.ledger)
}

/// The live lines.
struct Lines {
    out: QueuedOutput,
    format: Format,
    page: Page,
    clock: Clock,
    /// The totals at the previous report.
    before: SlabTotals,
}

impl SlabObserver for Lines {
    fn slab_changed(&mut self, ledger: &SlabLedger, change: &SlabChange) -> Result<()> {
        let event = SlabEventView::new(change, ledger, &self.clock);
        match self.format {
            Format::Text => text::slab_event(&mut self.out, &event, self.page)?,
            Format::Json => json::slab_event(&mut self.out, &event)?,
        }
        Ok(())
    }

    fn slab_looked(&mut self, ledger: &SlabLedger, now_ns: u64) -> Result<()> {
        let delta = SlabDelta::new(&self.before, ledger, now_ns, &self.clock);
        self.before = *ledger.totals();
        match self.format {
            Format::Text if delta.is_quiet() => {}
            Format::Text => text::slab_delta(&mut self.out, &delta)?,
            Format::Json => json::slab_delta(&mut self.out, &delta)?,
        }
        Ok(())
    }

    fn slab_tick(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}
