//! The observer that prints live lines and the summary, filtered and in the selected format.

use std::ops::ControlFlow;

use anyhow::Result;

use super::{Shown, filter::Filter};
use crate::{
    commands::{args::Format, queued::RunOutput},
    exit::Exit,
    record::{End, Start},
    report::{
        json,
        text::{self, Page},
        view::{
            EventView, NamesMissingView, Run, SlabEventView, SlabRequest, SlabView, SummaryView, Viewpoint,
            rolled, subject,
        },
    },
    session::{Book, Observer, SlabObserver, SlabWatcher},
    slab,
    tracker::{Change, Memcg},
};

/// Prints a run. Output is deterministic: it only depends on the start, changes and end.
pub struct Printer<W> {
    out: W,
    format: Format,
    page: Page,
    filter: Filter,
    fail_on_leak: bool,
    viewpoint: Viewpoint,
    run: Run,
    /// Remaining live lines until `--count` is reached.
    lines_left: u64,
}

impl<W: RunOutput> Printer<W> {
    /// Prints the header; at most `count` lines before the summary.
    pub fn new(start: &Start, shown: &Shown, count: Option<u64>, mut out: W) -> Result<Self> {
        let page = shown.output.page();
        if shown.output.format == Format::Text {
            text::header(&mut out, page)?;
        }
        out.flush()?;
        Ok(Self {
            out,
            format: shown.output.format,
            page,
            filter: Filter::new(shown),
            fail_on_leak: shown.fail_on_leak,
            viewpoint: Viewpoint::of(start),
            run: Run { cgroup: shown.cgroup.clone(), ..Run::of(start) },
            lines_left: count.unwrap_or(u64::MAX),
        })
    }

    /// Prints the summary of a completed run.
    pub fn finish(mut self, book: &Book, end: &End, slab: Option<&SlabWatcher>) -> Result<Exit> {
        self.run.end(end);
        self.viewpoint.clock = end.clock;
        self.sum_up(book, slab)
    }

    /// Prints the summary of a run whose rest is unknown because of `reason`.
    pub fn cut_off(mut self, book: &Book, reason: &str) -> Result<Exit> {
        self.run.cut_off(book.now_ns(), reason);
        self.sum_up(book, None)
    }

    fn sum_up(mut self, book: &Book, slab: Option<&SlabWatcher>) -> Result<Exit> {
        let tracker = book.tracker();
        let container = |memcg: &Memcg| book.container_of(memcg);
        let mut view = SummaryView::new(&self.run, tracker, &self.viewpoint, container);
        view.lines_dropped = self.out.begin_summary()?;
        view.names_missing = book.names_missing().map(NamesMissingView::new);
        if let Some(rollup) = book.rollup() {
            view.rolled = rolled(rollup, &self.run, tracker, &self.viewpoint, container);
        }
        if let Some(SlabWatcher { run, ledger, .. }) = slab {
            let SlabView { caches, summary, .. } = SlabView::new(run, ledger, SlabRequest::leaked());
            view.conclusive &= summary.conclusive;
            (view.leaked_slab_caches, view.slab) = (caches, Some(summary));
        }
        match self.format {
            Format::Text => text::summary(&mut self.out, &view, self.page)?,
            Format::Json => json::summary(&mut self.out, &view)?,
        }
        self.out.finish()?;
        Ok(if !view.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && (book.leaked() || slab.is_some_and(slab_leaked)) {
            Exit::Leak
        } else {
            Exit::Done
        })
    }
}

/// Whether any slab cache leaked during the run.
fn slab_leaked(slab: &SlabWatcher) -> bool {
    slab.ledger.leaked().any(|cache| cache.destroyer.is_some() || cache.created_ns.is_some())
}

impl<W: RunOutput> Observer for Printer<W> {
    /// Prints changes that pass the filter, up to `--count`.
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        for change in changes {
            let memcg = subject(change, book.tracker());
            if self.lines_left == 0 || !self.filter.shows(change, memcg) {
                continue;
            }
            let container = memcg.and_then(|memcg| book.container_of(memcg));
            let view = EventView::new(change, book.tracker(), container.as_ref(), &self.viewpoint);
            match self.format {
                Format::Text => text::event(&mut self.out, &view, self.page)?,
                Format::Json => json::event(&mut self.out, &view)?,
            }
            self.lines_left -= 1;
        }
        Ok(())
    }

    /// Stops once `--count` is reached: only the summary is left.
    fn tick(&mut self, _: &Book) -> Result<ControlFlow<()>> {
        self.out.flush()?;
        Ok(if self.lines_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

impl<W: RunOutput> SlabObserver for Printer<W> {
    /// Prints it, unless a filter for memcgs or events is set.
    fn slab_changed(&mut self, ledger: &slab::SlabLedger, change: &slab::SlabChange) -> Result<()> {
        if self.lines_left == 0 || !self.filter.shows_all() {
            return Ok(());
        }
        let event = SlabEventView::new(change, ledger, &self.viewpoint.clock);
        match self.format {
            Format::Text => text::slab_event(&mut self.out, &event, self.page)?,
            Format::Json => json::slab_event(&mut self.out, &event)?,
        }
        self.lines_left -= 1;
        Ok(())
    }
}
