//! `serve --replay`: the metrics of a recorded run, as they were at its end.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use super::{board::Board, exporter::Exporter, notify::Notifier};
use crate::{
    exit::Exit,
    record::recording::Reader,
    report::metrics::MetricsFacts,
    session::{Book, Replayed, RunTally, Stop, replay},
    streams::say,
};

/// Interval for looking whether somebody asks.
const POLL: Duration = Duration::from_millis(50);

/// Replays a file, and serves until a signal.
pub async fn serve(path: &Path, board: Arc<Board>, notifier: Notifier, top: usize) -> Result<Exit> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut reader = Reader::open(file).with_context(|| format!("cannot replay {shown}"))?;
    let mut stop = Stop::listen()?;
    let mut book = Book::new(reader.start().clone(), None);
    let mut tally = RunTally::default();
    if let Replayed::Until(damage) = replay(&mut reader, &mut book, &mut tally)? {
        say(&format!("cannot replay all of {shown}: {damage}; serving everything before that"));
    }
    let facts = MetricsFacts { top, ..MetricsFacts::default() };
    let mut exporter = Exporter::new(board, notifier, facts, tally);
    exporter.complete();
    loop {
        tokio::select! {
            () = sleep(POLL) => {}
            () = stop.requested(None) => break,
        }
        exporter.show(&book);
    }
    exporter.stopping();
    Ok(Exit::Done)
}
