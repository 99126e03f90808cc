//! `serve --replay`: the metrics of a recorded run, as they were at its end.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::sleep;

use super::{board::Board, exporter::Exporter, notify::Notifier};
use crate::{
    commands::recorded::{Recorded, WindowArgs},
    exit::Exit,
    report::metrics::MetricsFacts,
    session::{Replayed, RunTally, Stop, book_of, replay},
    streams::say,
};

/// How often it says that it is alive, where nobody asks for anything.
const ALIVE: Duration = Duration::from_secs(1);

/// Replays it, and serves until a signal.
pub async fn serve(
    path: &Path,
    window: &WindowArgs,
    board: Arc<Board>,
    notifier: Notifier,
    top: usize,
) -> Result<Exit> {
    let recorded = Recorded::find(path, window)?;
    let mut recording = recorded.open()?;
    let mut stop = Stop::listen()?;
    let start = recorded.start(recording.start());
    let mut book = book_of(&mut recording, start, None);
    let mut tally = RunTally::default();
    if let Replayed::Until(damage) = replay(&mut recording, &mut book, &mut tally)? {
        let path = path.display();
        say(&format!("cannot replay all of {path}: {damage}; serving everything before that"));
    }
    let facts = MetricsFacts { top, ..MetricsFacts::default() };
    let wake = board.wake();
    let mut exporter = Exporter::new(board, notifier, facts, tally);
    exporter.complete();
    loop {
        tokio::select! {
            () = sleep(ALIVE) => {}
            () = wake.notified() => {}
            () = stop.requested(None) => break,
        }
        exporter.show(&book);
    }
    exporter.stopping();
    Ok(Exit::Done)
}
