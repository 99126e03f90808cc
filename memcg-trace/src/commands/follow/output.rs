//! What is printed: live lines as they happen, then the summary; filtered, in the format asked for.

use std::io::Write;

use anyhow::Result;

use super::{Filter, Shown};
use crate::{
    attribution::{Names, NamesMissing},
    commands::{Format, color},
    report::{
        json,
        text::{self, Color},
        view::{
            EventView, Rollup, Run, SlabEventView, SlabRequest, SlabRun, SlabView, SummaryView, Viewpoint,
            subject,
        },
    },
    slab,
    source::{End, Start},
    tracker::{Change, Memcg, Tracker},
};

pub struct Output<W> {
    out: W,
    format: Format,
    color: Color,
    filter: Filter,
    viewpoint: Viewpoint,
    run: Run,
    /// Live lines until `--count` is reached.
    lines_left: u64,
    /// Slab caches as they were at the end.
    pub slab: Option<(SlabRun, slab::Ledger)>,
}

impl<W: Write> Output<W> {
    pub fn new(start: &Start, shown: &Shown, count: Option<u64>, out: W) -> Self {
        Self {
            out,
            format: shown.output,
            color: color(shown.color),
            filter: Filter::new(shown),
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
                names_missing: None,
                cut_off: false,
            },
            lines_left: count.unwrap_or(u64::MAX),
            slab: None,
        }
    }

    /// Names the columns.
    pub fn begin(&mut self) -> Result<()> {
        if self.format == Format::Text {
            text::header(&mut self.out)?;
        }
        self.flush()
    }

    /// `--count` is reached.
    pub fn is_full(&self) -> bool {
        self.lines_left == 0
    }

    /// Shows what passes the filter, up to `--count`.
    pub fn show(&mut self, tracker: &Tracker, names: &Names, changes: &[Change]) -> Result<()> {
        for change in changes {
            let memcg = subject(change, tracker);
            if self.is_full() || !self.filter.shows(change, memcg) {
                continue;
            }
            let container = memcg.and_then(|memcg| names.container_of(memcg));
            let view = EventView::new(change, tracker, container.as_ref(), &self.viewpoint);
            match self.format {
                Format::Text => text::event(&mut self.out, &view, self.color)?,
                Format::Json => json::event(&mut self.out, &view)?,
            }
            self.lines_left -= 1;
        }
        Ok(())
    }

    /// Shows what happened to a slab cache, unless only some memcgs or events are asked for.
    pub fn show_slab(&mut self, ledger: &slab::Ledger, change: &slab::Change) -> Result<()> {
        if self.is_full() || !self.filter.shows_all() {
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

    /// A slab cache leaked meanwhile.
    pub fn slab_leaked(&self) -> bool {
        let leaked = self.slab.iter().flat_map(|(_, ledger)| ledger.leaked());
        leaked.into_iter().any(|cache| cache.destroyer.is_some() || cache.created_ns.is_some())
    }

    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    /// The run is over.
    pub fn end(&mut self, end: &End) {
        self.run.ended_ns = end.ended_ns;
        self.run.undecodable = end.undecodable;
        self.viewpoint.clock = end.clock;
    }

    /// The node was not asked about some memcgs.
    pub fn names_missing(&mut self, missing: NamesMissing) {
        self.run.names_missing = Some(missing);
    }

    /// It went on, but is known until `known_ns` only.
    pub fn cut_off(&mut self, known_ns: u64, reason: &str) {
        self.run.ended_ns = known_ns;
        self.run.cut_off = true;
        self.run.unknown.push(("what happened from then on".to_owned(), reason.to_owned()));
    }

    /// Nothing is missing that the answer may depend on.
    pub fn conclusive(&self, tracker: &Tracker) -> bool {
        self.run.conclusive(tracker) && self.slab.as_ref().is_none_or(|(run, ledger)| run.conclusive(ledger))
    }

    /// Prints the summary.
    pub fn summary(&mut self, tracker: &Tracker, names: &Names, rollup: Option<&Rollup>) -> Result<()> {
        let container = |memcg: &Memcg| names.container_of(memcg);
        let mut view = SummaryView::new(&self.run, tracker, &self.viewpoint, container);
        if let Some(rollup) = rollup {
            view.rolled = rollup.groups(tracker, self.run.ended_ns, &self.viewpoint, container);
        }
        if let Some((run, ledger)) = &self.slab {
            let SlabView { caches, summary, .. } = SlabView::new(run, ledger, SlabRequest::leaked());
            view.conclusive &= summary.conclusive;
            (view.leaked_slab_caches, view.slab) = (caches, Some(summary));
        }
        match self.format {
            Format::Text => text::summary(&mut self.out, &view, self.color)?,
            Format::Json => json::summary(&mut self.out, &view)?,
        }
        self.flush()
    }
}
