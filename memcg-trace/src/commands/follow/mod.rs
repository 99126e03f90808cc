//! From records to what is printed: the half of `trace` that needs no kernel, and all of `replay`.

mod filter;
mod output;

use std::{io::Write, time::Duration};

use anyhow::Result;
use globset::{GlobBuilder, GlobMatcher};
use memcg_trace_common::ABSENT;

use self::{filter::Filter, output::Output};
use super::Format;
use crate::{
    attribution::{Names, Question},
    event::Event,
    exit::Exit,
    report::view::{ByOwner, EventKind, Rollup, SlabRun},
    slab,
    source::{End, Record, Start},
    tracker::{Change, Config, Found, Key, Memcg, State, Tracker, What},
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

    /// Sum up by whose they are, too: what was created, what of it is still dying, what it holds
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub by: Option<ByOwner>,

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
    names: Names,
    rollup: Option<Rollup>,
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
            names: Names::default(),
            rollup: shown.by.map(Rollup::new),
            fail_on_leak: shown.fail_on_leak,
            now_ns: start.started_ns,
            changes: Vec::new(),
            tracker: Tracker::new(Config {
                backend: start.backend,
                grace_ns: start.grace_ns,
                // Without IDs to be seen, live memcgs would be the only ones that count.
                live_at_start: start.live.filter(|_| start.layout.layout.memcg_id != ABSENT),
                paths: start.paths,
            }),
        })
    }

    pub fn apply(&mut self, record: &Record) -> Result<()> {
        if let Record::Names { key, facts } = record {
            self.names.insert(*key, facts);
            return Ok(());
        }
        if let Record::NamesMissing(missing) = record {
            self.output.names_missing(missing.clone());
            return Ok(());
        }
        if let Record::Event(event) = record {
            self.now_ns = self.now_ns.max(event.t_ns());
            self.tracker.advance(event.t_ns(), &mut self.changes);
        }
        self.tracker.apply(record, &mut self.changes);
        self.show()
    }

    /// Time is `now_ns` (`CLOCK_MONOTONIC`).
    pub fn advance(&mut self, now_ns: u64) -> Result<()> {
        self.now_ns = self.now_ns.max(now_ns);
        self.tracker.advance(now_ns, &mut self.changes);
        self.show()
    }

    /// Shows what happened. Names go with their memcg, after it was shown for the last time.
    fn show(&mut self) -> Result<()> {
        self.output.show(&self.tracker, &self.names, &self.changes)?;
        for change in self.changes.drain(..) {
            let (What::Freed { memcg, .. } | What::Reconciled { memcg, found: Found::Freed }) = change.what
            else {
                continue;
            };
            if let Some(rollup) = &mut self.rollup {
                rollup.freed(&memcg, self.names.container_of(&memcg).as_ref());
            }
            self.names.remove(&memcg.key);
        }
        Ok(())
    }

    /// What there is to find out about the memcg that an event brings; asked before the event is applied.
    pub fn question(&self, event: &Event) -> Option<(Key, Question)> {
        let key = Key::of(event).filter(|key| self.tracker.get(key).is_none())?;
        Some((key, Question::about(&self.tracker.path_of(event)?)?))
    }

    /// What there is to find out about the memcgs that a walk brought, and whether they live: after the first walk about
    /// all, then about those whose birth went unseen.
    pub fn questions(&self, first: bool) -> impl Iterator<Item = (Key, Question, bool)> {
        let unseen = |memcg: &Memcg| memcg.online_ns.is_none() && !memcg.before_start;
        let unnamed = self.tracker.memcgs().filter(|memcg| !self.names.has(&memcg.key));
        unnamed.filter(move |memcg| first || unseen(memcg)).filter_map(|memcg| {
            let question = Question::about(memcg.path.as_deref()?)?;
            Some((memcg.key, question, memcg.state == State::Online))
        })
    }

    /// The ledger has this memcg: what is found out about it is of use.
    pub fn knows(&self, key: &Key) -> bool {
        self.tracker.get(key).is_some()
    }

    /// Those that become leaked when time is `now_ns`; see [`Tracker::due`].
    pub fn due(&self, now_ns: u64) -> Vec<Key> {
        self.tracker.due(now_ns).collect()
    }

    /// All that are dying, in order.
    pub fn dying(&self) -> Vec<Key> {
        let mut dying: Vec<Key> = self.tracker.dying().map(|memcg| memcg.key).collect();
        dying.sort_unstable();
        dying
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

    /// What happened to a slab cache.
    pub fn show_slab(&mut self, ledger: &slab::Ledger, change: &slab::Change) -> Result<()> {
        self.output.show_slab(ledger, change)
    }

    /// The summary shall have slab caches in it.
    pub fn keep_slab(&mut self, run: SlabRun, ledger: slab::Ledger) {
        self.output.slab = Some((run, ledger));
    }

    /// Sums up.
    pub fn finish(mut self, end: &End) -> Result<Exit> {
        self.tracker.settle(&mut self.changes);
        self.show()?;
        self.output.end(end);
        self.sum_up()
    }

    /// Sums up what was seen of a run whose rest is not known because of `reason`.
    pub fn cut_off(mut self, reason: &str) -> Result<Exit> {
        self.output.cut_off(self.now_ns, reason);
        self.sum_up()
    }

    fn sum_up(mut self) -> Result<Exit> {
        self.output.summary(&self.tracker, &self.names, self.rollup.as_ref())?;
        Ok(if !self.output.conclusive(&self.tracker) {
            Exit::Inconclusive
        } else if self.fail_on_leak && (self.leaked() || self.output.slab_leaked()) {
            Exit::Leak
        } else {
            Exit::Done
        })
    }

    /// A memcg that died meanwhile.
    fn leaked(&self) -> bool {
        self.tracker.leaked().any(|memcg| !memcg.died_before_start())
    }
}
