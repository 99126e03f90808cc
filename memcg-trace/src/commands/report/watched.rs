//! A run that was watched from its start to its end, with all that a report needs of it.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Args;
use crate::{
    attribution::ByOwner,
    commands::{
        announce,
        recorded::{Recorded, WindowArgs},
        replay::reason,
    },
    kernel::clock,
    report::view::{ReportView, Run, Viewpoint},
    session::{Book, History, Replayed, Rollup, Session, Setup, Stop, book_of, replay},
    source::Wanted,
    streams::say,
};

/// Of the first buckets of a history; they get wider with the run.
const BUCKET_NS: u64 = 15_625_000;
/// `--grace` of a live run.
const GRACE_NS: u64 = 30_000_000_000;

pub struct Watched {
    book: Book,
    history: History,
    run: Run,
    viewpoint: Viewpoint,
    recording: Option<PathBuf>,
}

impl Watched {
    /// From a recording, as far as it can be read.
    pub fn recorded(path: &Path, window: &WindowArgs, grace: Option<Duration>) -> Result<Self> {
        let shown = path.display();
        let recorded = Recorded::find(path, window)?;
        let mut recording = recorded.open()?;
        let mut start = recorded.start(recording.start());
        if let Some(grace) = grace {
            start.grace_ns = nanoseconds(grace);
        }
        let book = book_of(&mut recording, start, Some(Rollup::new(ByOwner::Workload)));
        let mut watched = Self::new(book, path.to_owned());
        match replay(&mut recording, &mut watched.book, &mut watched.history)? {
            Replayed::Whole(end) => {
                watched.run.end(&end);
                watched.viewpoint.clock = end.clock;
            }
            Replayed::Until(damage) => {
                say(&format!("cannot replay all of {shown}: {damage}; reporting everything before that"));
                watched.run.cut_off(watched.book.now_ns(), reason(&damage));
            }
        }
        watched.history.look(&watched.book, &[]);
        Ok(watched)
    }

    /// From this node.
    pub fn live(args: &Args) -> Result<Self> {
        // A single thread, as capabilities are dropped per thread.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the tokio runtime")?.block_on(Self::trace(args))
    }

    async fn trace(args: &Args) -> Result<Self> {
        let session = Session::start(Setup {
            wanted: Wanted {
                backend: args.backend.only(),
                perf_pages: None,
                walk: true,
                grace_ns: args.grace.map_or(GRACE_NS, nanoseconds),
                clock: clock::offsets(),
            },
            btf: args.btf.file(),
            slab: false,
            by: Some(Rollup::new(ByOwner::Workload)),
            record: None,
            flight: None,
            names: args.names.resolver()?,
            refresh: None,
        })?;
        // Before announcing that it traces: whoever reads that may send a signal.
        let stop = Stop::listen()?;
        let start = session.book().start();
        announce::tracing(start);
        announce::details(start, session.snapshot());
        let mut history = History::new(start.started_ns, BUCKET_NS);
        let (mut run, mut viewpoint) = (Run::of(start), Viewpoint::of(start));
        let ended = session.run(stop, Some(args.duration), &mut history).await?;
        run.end(&ended.end);
        viewpoint.clock = ended.end.clock;
        history.look(&ended.book, &[]);
        Ok(Self { book: ended.book, history, run, viewpoint, recording: None })
    }

    fn new(book: Book, recording: PathBuf) -> Self {
        let start = book.start();
        let (history, run) = (History::new(start.started_ns, BUCKET_NS), Run::of(start));
        let viewpoint = Viewpoint::of(start);
        Self { book, history, run, viewpoint, recording: Some(recording) }
    }

    pub fn view(&self) -> ReportView<'_> {
        let recording = self.recording.as_deref().and_then(Path::file_name).map(|name| name.as_bytes());
        ReportView::new(&self.run, &self.book, &self.history, &self.viewpoint, recording)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
