//! From look to look, with everything between where the kernel can be hooked.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    time::Duration,
};

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{
    super::{Format, Stop, until},
    Args,
    watcher::Watcher,
};
use crate::{
    exit::Exit,
    kernel::{clock, privileges},
    report::{
        json,
        text::{self, Page},
        view::{Clock, SlabBy, SlabDelta, SlabEventView},
    },
    slab::{Change, Ledger, Totals},
};

/// How often the buffers are drained.
const POLL: Duration = Duration::from_millis(50);

/// Watches until a signal or `--duration`, then sums up.
pub async fn watch(args: &Args, interval: Duration) -> Result<Exit> {
    let watcher =
        Watcher::start(args.grace_ns(), args.btf.as_deref(), args.by.and_then(SlabBy::owner).is_some())?;
    privileges::drop_unneeded();
    // Before it says that it traces: who reads that may send a signal.
    let mut stop = Stop::new()?;
    watcher.announce();
    let out = Lines {
        out: BufWriter::new(io::stdout()),
        format: args.output,
        page: args.page(),
        clock: watcher.run.clock,
    };
    let mut watch = Watch { args, before: *watcher.ledger.totals(), watcher, lines: out };
    let started = Instant::now();
    let end = args.duration.map(|duration| started + duration);
    let mut next_look = started + interval;
    loop {
        let wake = if watch.watcher.is_hooked() { next_look.min(Instant::now() + POLL) } else { next_look };
        tokio::select! {
            () = sleep_until(wake) => {}
            () = until(end) => break,
            () = stop.requested() => break,
        }
        watch.poll()?;
        if Instant::now() >= next_look {
            watch.look()?;
            next_look += interval;
        }
    }
    watch.finish()
}

struct Watch<'a> {
    args: &'a Args,
    watcher: Watcher,
    /// At the look before.
    before: Totals,
    lines: Lines,
}

/// The live lines.
struct Lines {
    out: BufWriter<Stdout>,
    format: Format,
    page: Page,
    clock: Clock,
}

impl Watch<'_> {
    fn poll(&mut self) -> Result<()> {
        self.watcher.poll(clock::monotonic_ns(), &mut |ledger, change| self.lines.event(ledger, change))?;
        Ok(self.lines.out.flush()?)
    }

    /// What changed since the look before.
    fn look(&mut self) -> Result<()> {
        self.watcher.look(&mut |ledger, change| self.lines.event(ledger, change))?;
        let ledger = &self.watcher.ledger;
        let delta = SlabDelta::new(&self.before, ledger, clock::monotonic_ns(), &self.lines.clock);
        self.before = *ledger.totals();
        match self.lines.format {
            Format::Text if delta.is_quiet() => {}
            Format::Text => text::slab_delta(&mut self.lines.out, &delta)?,
            Format::Json => json::slab_delta(&mut self.lines.out, &delta)?,
        }
        Ok(self.lines.out.flush()?)
    }

    /// Detaches, looks once more, and sums up.
    fn finish(mut self) -> Result<Exit> {
        let end_ns = clock::monotonic_ns();
        self.watcher.finish(end_ns, &mut |ledger, change| self.lines.event(ledger, change))?;
        self.args.sum_up(&mut self.lines.out, &self.watcher.run, &self.watcher.ledger)
    }
}

impl Lines {
    fn event(&mut self, ledger: &Ledger, change: &Change) -> Result<()> {
        let event = SlabEventView::new(change, ledger, &self.clock);
        match self.format {
            Format::Text => text::slab_event(&mut self.out, &event, self.page)?,
            Format::Json => json::slab_event(&mut self.out, &event)?,
        }
        Ok(())
    }
}
