//! The running node.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{Args, display::Display, frame};
use crate::{
    attribution::ByOwner,
    commands::announce,
    event::Key,
    exit::Exit,
    kernel::clock,
    screen::{Action, ExplainedNow, Status, StatusKeeper},
    session::{Rollup, Session, Setup, Stop},
    source::{Polled, Wanted},
};

/// How often the screen is told what is new; where only time has passed, of the seconds.
const NEWS: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
/// How long one frame waits for the walk and the names.
const SETTLE: Duration = Duration::from_secs(1);

/// A run, and what the screen was told of it.
struct WatchedRun {
    session: Session,
    keeper: StatusKeeper,
    told: Instant,
    /// Of the book.
    revision: u64,
    recording: Option<PathBuf>,
}

/// Interval for looking again at what pins dying memcgs, after the first look at once. 10,000 take a quarter of a second.
const REFRESH: Duration = Duration::from_secs(300);

pub fn run(args: &Args) -> Result<Exit> {
    // A single thread, as for `trace`; the one that draws keeps no capability.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the tokio runtime")?.block_on(watch(args))
}

async fn watch(args: &Args) -> Result<Exit> {
    let session = Session::start(Setup {
        wanted: Wanted {
            backend: args.backend.only(),
            perf_pages: None,
            walk: !args.no_walk,
            grace_ns: u64::try_from(args.grace.as_nanos()).unwrap_or(u64::MAX),
            clock: clock::offsets(),
        },
        btf: args.btf.file(),
        slab: args.slab,
        by: Some(Rollup::new(ByOwner::Workload)),
        record: args.record.as_deref(),
        flight: None,
        names: args.names.resolver()?,
        refresh: Some(REFRESH),
    })?;
    let stop = Stop::listen()?;
    let mut watched = WatchedRun {
        keeper: StatusKeeper::new(session.book().start()),
        session,
        told: Instant::now(),
        revision: 0,
        recording: args.record.clone(),
    };
    if !Args::interactive() {
        watched.settle().await?;
        frame::print(watched.status(), args.tab, args.size, args.color.page().color)?;
        return Ok(Exit::Done);
    }
    announce::tracing(watched.session.book().start());
    let display = Display::open(watched.status(), args.tab, args.color.page().color)?;
    watched.show_on(display, stop).await?;
    match watched.session.end_recording() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Failed),
    }
}

impl WatchedRun {
    /// Until somebody leaves, or a signal ends it.
    async fn show_on(&mut self, display: Display, mut stop: Stop) -> Result<()> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let mut stopped = listen(SignalKind::from_raw(libc::SIGTSTP))?;
        let mut continued = listen(SignalKind::from_raw(libc::SIGCONT))?;
        let mut pause = Polled::PAUSE;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.requested(None) => break,
                _ = stopped.recv() => display.stop(),
                _ = continued.recv() => display.redraw(),
            }
            pause = self.session.poll(&mut self.keeper)?.pause();
            let actions = display.actions();
            if actions.contains(&Action::Quit) {
                break;
            }
            for action in actions {
                match action {
                    Action::Record => display.say(self.record()),
                    Action::Explain(memcg) => self.explain(memcg, &display),
                    _ => {}
                }
            }
            if self.is_due() {
                display.show(self.status());
            }
        }
        display.close()
    }

    /// Drains until what exists is known.
    async fn settle(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < SETTLE {
            sleep(Polled::PAUSE).await;
            self.session.poll(&mut self.keeper)?;
        }
        while {
            self.status();
            !self.keeper.is_complete()
        } {}
        Ok(())
    }

    fn is_due(&self) -> bool {
        let changed = self.revision != self.session.book().revision();
        self.told.elapsed() >= if changed { NEWS } else { SECOND }
    }

    fn status(&mut self) -> Status {
        (self.told, self.revision) = (Instant::now(), self.session.book().revision());
        self.keeper.look(self.session.book(), self.session.slab(), clock::monotonic_ns())
    }

    /// Looks at what pins a memcg: as briefly as before a leak is told, so the buffers wait no longer.
    fn explain(&mut self, memcg: Key, display: &Display) {
        let page_bytes = self.session.book().start().page_bytes;
        match self.session.explain(memcg) {
            Ok(Some(explanation)) => display.explain(ExplainedNow { explanation, page_bytes }),
            Ok(None) => {}
            Err(error) => display.say(format!("{error:#}")),
        }
    }

    /// Begins a recording, or ends it; returns what to say about that.
    fn record(&mut self) -> String {
        if let Some(path) = self.recording.take() {
            return match self.session.end_recording() {
                true => format!("recorded to {}; memcg-trace top --replay shows it", path.display()),
                false => format!("the recording {} is not complete", path.display()),
            };
        }
        let time = clock::offsets().utc(clock::monotonic_ns());
        let path = PathBuf::from(format!("memcg-trace-{}.recording", time.strftime("%Y%m%d-%H%M%S")));
        match self.session.record(&path) {
            Ok(()) => {
                let said = format!("recording to {} from now on; w ends it", path.display());
                self.recording = Some(path);
                said
            }
            Err(error) => format!("{error:#}; --record FILE opens it before privileges are dropped"),
        }
    }
}
