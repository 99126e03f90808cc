//! The observer that prints: live lines as they happen, then the summary; filtered, in the format asked for.

use std::{io::Write, ops::ControlFlow};

use anyhow::Result;

use super::{Shown, filter::Filter};
use crate::{
    commands::{Format, color},
    exit::Exit,
    record::{End, Start},
    report::{
        json,
        text::{self, Color},
        view::{
            EventView, NamesMissingView, Run, SlabEventView, SlabRequest, SlabView, SummaryView, Viewpoint,
            rolled, subject,
        },
    },
    session::{Book, Observer, SlabObserver, SlabWatcher},
    slab,
    tracker::{Change, Memcg},
};

/// Prints a run. The same start, changes and end print the same bytes.
pub struct Printer<W> {
    out: W,
    format: Format,
    color: Color,
    filter: Filter,
    fail_on_leak: bool,
    viewpoint: Viewpoint,
    run: Run,
    /// Live lines until `--count` is reached.
    lines_left: u64,
}

impl<W: Write> Printer<W> {
    /// Prints at most `count` lines before the summary. Names the columns.
    pub fn new(start: &Start, shown: &Shown, count: Option<u64>, mut out: W) -> Result<Self> {
        if shown.output == Format::Text {
            text::header(&mut out)?;
        }
        out.flush()?;
        Ok(Self {
            out,
            format: shown.output,
            color: color(shown.color),
            filter: Filter::new(shown),
            fail_on_leak: shown.fail_on_leak,
            viewpoint: Viewpoint {
                clock: start.clock,
                page_bytes: start.page_bytes,
                dying_unseen: start.dying_unseen,
            },
            run: Run {
                backend: start.backend,
                backend_reason: start.backend_reason.clone(),
                unknown: start.unknown.clone(),
                started_ns: start.started_ns,
                ended_ns: start.started_ns,
                grace_ns: start.grace_ns,
                undecodable: 0,
                perf_pages: Some(start.perf_pages),
                cut_off: false,
            },
            lines_left: count.unwrap_or(u64::MAX),
        })
    }

    /// Sums up a run that is over.
    pub fn finish(mut self, book: &Book, end: &End, slab: Option<&SlabWatcher>) -> Result<Exit> {
        self.run.ended_ns = end.ended_ns;
        self.run.undecodable = end.undecodable;
        self.viewpoint.clock = end.clock;
        self.sum_up(book, slab)
    }

    /// Sums up what was seen of a run whose rest is not known because of `reason`.
    pub fn cut_off(mut self, book: &Book, reason: &str) -> Result<Exit> {
        self.run.ended_ns = book.now_ns();
        self.run.cut_off = true;
        self.run.unknown.push(("what happened from then on".to_owned(), reason.to_owned()));
        self.sum_up(book, None)
    }

    fn sum_up(mut self, book: &Book, slab: Option<&SlabWatcher>) -> Result<Exit> {
        let tracker = book.tracker();
        let container = |memcg: &Memcg| book.container_of(memcg);
        let mut view = SummaryView::new(&self.run, tracker, &self.viewpoint, container);
        view.names_missing = book.names_missing().map(NamesMissingView::new);
        if let Some(rollup) = book.rollup() {
            view.rolled = rolled(rollup, tracker, self.run.ended_ns, &self.viewpoint, container);
        }
        if let Some(SlabWatcher { run, ledger, .. }) = slab {
            let SlabView { caches, summary, .. } = SlabView::new(run, ledger, SlabRequest::leaked());
            view.conclusive &= summary.conclusive;
            (view.leaked_slab_caches, view.slab) = (caches, Some(summary));
        }
        match self.format {
            Format::Text => text::summary(&mut self.out, &view, self.color)?,
            Format::Json => json::summary(&mut self.out, &view)?,
        }
        self.out.flush()?;
        Ok(if !view.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && (book.leaked() || slab.is_some_and(slab_leaked)) {
            Exit::Leak
        } else {
            Exit::Done
        })
    }
}

/// A slab cache leaked meanwhile.
fn slab_leaked(slab: &SlabWatcher) -> bool {
    slab.ledger.leaked().any(|cache| cache.destroyer.is_some() || cache.created_ns.is_some())
}

impl<W: Write> Observer for Printer<W> {
    /// Shows what passes the filter, up to `--count`.
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        for change in changes {
            let memcg = subject(change, book.tracker());
            if self.lines_left == 0 || !self.filter.shows(change, memcg) {
                continue;
            }
            let container = memcg.and_then(|memcg| book.container_of(memcg));
            let view = EventView::new(change, book.tracker(), container.as_ref(), &self.viewpoint);
            match self.format {
                Format::Text => text::event(&mut self.out, &view, self.color)?,
                Format::Json => json::event(&mut self.out, &view)?,
            }
            self.lines_left -= 1;
        }
        Ok(())
    }

    /// Only the summary is left to be shown once `--count` is reached.
    fn tick(&mut self, _: &Book) -> Result<ControlFlow<()>> {
        self.out.flush()?;
        Ok(if self.lines_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

impl<W: Write> SlabObserver for Printer<W> {
    /// Shows it, unless only some memcgs or events are asked for.
    fn slab_changed(&mut self, ledger: &slab::Ledger, change: &slab::Change) -> Result<()> {
        if self.lines_left == 0 || !self.filter.shows_all() {
            return Ok(());
        }
        let event = SlabEventView::new(change, ledger, &self.viewpoint.clock);
        match self.format {
            Format::Text => text::slab_event(&mut self.out, &event, self.color)?,
            Format::Json => json::slab_event(&mut self.out, &event)?,
        }
        self.lines_left -= 1;
        Ok(())
    }
}
