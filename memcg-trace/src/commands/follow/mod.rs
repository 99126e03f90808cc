//! From records to what is printed: the half of `trace` that needs no kernel, and all of `replay`.

mod filter;
mod output;

use std::{io::Write, time::Duration};

use anyhow::Result;
use globset::{GlobBuilder, GlobMatcher};

use self::{filter::Filter, output::Output};
use super::Format;
use crate::{
    exit::Exit,
    report::view::EventKind,
    source::{End, Record, Start},
    tracker::{Change, Config, Tracker},
};

/// What is shown, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Shown {
    /// Show only memcgs whose path matches, for example '/kubepods/**' (the ledger and the counts follow all)
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    pub cgroup: Option<GlobMatcher>,

    /// Show only events of memcgs that have been dying for at least this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub min_age: Duration,

    /// Show only these events
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',')]
    pub events: Vec<EventKind>,

    /// Exit with 3 if a memcg leaked
    #[arg(long)]
    pub fail_on_leak: bool,

    /// Output format; json is one object a line
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
}

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    // A single star stays within one directory, as in a shell.
    Ok(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher())
}

/// Keeps the ledger of a run and prints what happens to it. The same start, records, times and end print the same bytes.
pub struct Follower<W: Write> {
    tracker: Tracker,
    output: Output<W>,
    fail_on_leak: bool,
    /// The latest that it was told.
    now_ns: u64,
    /// Kept from call to call for its memory.
    changes: Vec<Change>,
}

impl<W: Write> Follower<W> {
    /// Shows at most `count` lines before the summary.
    pub fn new(start: Start, shown: &Shown, count: Option<u64>, out: W) -> Result<Self> {
        let mut output = Output::new(&start, shown, count, out);
        output.begin()?;
        Ok(Self {
            output,
            fail_on_leak: shown.fail_on_leak,
            now_ns: start.started_ns,
            changes: Vec::new(),
            tracker: Tracker::new(Config {
                backend: start.backend,
                grace_ns: start.grace_ns,
                live_at_start: start.live,
                paths: start.paths,
            }),
        })
    }

    pub fn apply(&mut self, record: &Record) -> Result<()> {
        if let Record::Event(event) = record {
            self.now_ns = self.now_ns.max(event.t_ns());
            self.tracker.advance(event.t_ns(), &mut self.changes);
        }
        self.tracker.apply(record, &mut self.changes);
        self.output.show(&self.tracker, &mut self.changes)
    }

    /// Time is `now_ns` (`CLOCK_MONOTONIC`).
    pub fn advance(&mut self, now_ns: u64) -> Result<()> {
        self.now_ns = self.now_ns.max(now_ns);
        self.tracker.advance(now_ns, &mut self.changes);
        self.output.show(&self.tracker, &mut self.changes)
    }

    pub fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    /// No more lines will be shown, only the summary.
    pub fn is_full(&self) -> bool {
        self.output.is_full()
    }

    /// See [`Tracker::wants_walk`].
    pub fn wants_walk(&self) -> bool {
        self.tracker.wants_walk()
    }

    /// Sums up.
    pub fn finish(mut self, end: &End) -> Result<Exit> {
        self.tracker.settle(&mut self.changes);
        self.output.show(&self.tracker, &mut self.changes)?;
        self.output.end(end);
        self.sum_up()
    }

    /// Sums up what was seen of a run whose rest is not known because of `reason`.
    pub fn cut_off(mut self, reason: &str) -> Result<Exit> {
        self.output.cut_off(self.now_ns, reason);
        self.sum_up()
    }

    fn sum_up(mut self) -> Result<Exit> {
        self.output.summary(&self.tracker)?;
        Ok(if !self.output.conclusive(&self.tracker) {
            Exit::Inconclusive
        } else if self.fail_on_leak && self.tracker.leaked().any(|memcg| !memcg.died_before_start()) {
            Exit::Leak
        } else {
            Exit::Done
        })
    }
}
