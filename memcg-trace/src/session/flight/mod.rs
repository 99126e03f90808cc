//! `--record-dir`: the run in recordings that follow each other, the oldest of which make room for new ones.
//!
//! Each begins with what is known, so that it can be replayed alone, and with those before and after it. What cannot be
//! written for some time is missing, and nothing else: the run goes on, and so does the recording once it can.

mod chunks;
mod directory;
mod disk;
mod names_before;

use std::{
    io, mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use self::{chunks::Chunks, directory::RotationDirectory, disk::DiskWriter, names_before::names_before};
use super::Book;
use crate::{
    attribution::Facts,
    event::Key,
    kernel::clock,
    record::{Clock, End, Record, RunSegment, Start, recording::Writer, rotation::RotationSize},
    streams::say,
};

/// The first pause after a failure; each further one is twice as long, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// `--record-dir` and `--record-max`
#[derive(Clone, Copy, Debug)]
pub struct Flight<'a> {
    pub directory: &'a Path,
    pub size: RotationSize,
}

/// Records a run.
pub struct FlightRecorder {
    directory: PathBuf,
    disk: DiskWriter,
    run_ns: u64,
    /// Of the next recording.
    number: u32,
    /// `None`: it could not be written.
    segment: Option<OpenSegment>,
    pause: Duration,
    resume: Instant,
    /// The failure was told.
    said: bool,
    /// Records that were not events, before the recording.
    undecodable: u64,
    names_before: Vec<(Key, Vec<Facts>)>,
}

/// A recording that is being written.
struct OpenSegment {
    number: u32,
    writer: Writer<Chunks>,
    head_bytes: u64,
}

impl FlightRecorder {
    /// Begins the first recording. An error if it cannot be written.
    pub fn start(flight: &Flight<'_>, start: &Start) -> Result<Self> {
        let path = flight.directory;
        let cannot = || format!("cannot record to the directory {}", path.display());
        let directory = RotationDirectory::open(path).with_context(cannot)?;
        let names_before = names_before(&directory, start).with_context(cannot)?;
        let disk = DiskWriter::start(directory, flight.size).with_context(cannot)?;
        let mut recorder = Self {
            directory: path.to_owned(),
            disk,
            run_ns: start.started_ns,
            number: 0,
            segment: None,
            pause: PAUSE,
            resume: Instant::now(),
            said: false,
            undecodable: 0,
            names_before,
        };
        recorder.begin(start.clone(), |_| Ok(())).with_context(cannot)?;
        recorder.disk.wait();
        match recorder.disk.failure() {
            Some((_, error)) => Err(error).with_context(cannot),
            None => Ok(recorder),
        }
    }

    /// What earlier runs of this boot learnt about memcgs, once.
    pub fn names_before(&mut self) -> Vec<(Key, Vec<Facts>)> {
        mem::take(&mut self.names_before)
    }

    /// Writes a record that is applied to the ledger.
    pub fn record(&mut self, record: &Record) {
        self.write(|writer| writer.record(record));
    }

    /// Writes a time that is passed to the ledger.
    pub fn time(&mut self, now_ns: u64) {
        self.write(|writer| writer.time(now_ns));
    }

    /// Passes on everything recorded so far.
    pub fn flush(&mut self) {
        self.write(Writer::flush);
    }

    /// Begins the next recording, if it is time for it: the book knows exactly what was recorded. `undecodable`: records
    /// so far that were not events.
    pub fn keep_up(&mut self, book: &Book, undecodable: u64) {
        if let Some((number, error)) = self.disk.failure() {
            // It may have ended, and the next one begun.
            match &self.segment {
                Some(segment) if segment.number == number => self.fail(&error),
                _ => self.tell(&error),
            }
        }
        let size = self.disk.size();
        let full = self.segment.as_mut().map(|open| size.is_full(open.writer.out().bytes(), open.head_bytes));
        match full {
            Some(false) => {}
            Some(true) => {
                let clock = clock::offsets();
                let end = End {
                    ended_ns: book.now_ns(),
                    clock,
                    undecodable: undecodable.saturating_sub(self.undecodable),
                };
                if self.end(&end) {
                    (self.pause, self.said) = (PAUSE, false);
                    self.go_on(book, undecodable, clock);
                }
            }
            None if Instant::now() >= self.resume => self.go_on(book, undecodable, clock::offsets()),
            None => {}
        }
    }

    /// Ends the last recording; returns whether it is complete.
    pub fn finish(mut self, end: &End) -> bool {
        let undecodable = end.undecodable.saturating_sub(self.undecodable);
        let last = self.number.saturating_sub(1);
        let ended = self.end(&End { undecodable, ..*end });
        let written = self.disk.wait();
        if let Some((number, error)) = self.disk.failure() {
            self.tell(&error);
            if number == last {
                return false;
            }
        }
        if ended && !written {
            self.tell(&io::Error::new(
                io::ErrorKind::TimedOut,
                "the disk takes nothing, and its end is missing",
            ));
        }
        ended && written
    }

    fn go_on(&mut self, book: &Book, undecodable: u64, clock: Clock) {
        let start = book.start_at(book.now_ns(), clock);
        let begun = self.begin(start, |writer| writer.checkpoint(&book.checkpoint(), &book.known()));
        match begun {
            Ok(()) => self.undecodable = undecodable,
            Err(error) => self.fail(&error),
        }
    }

    /// Begins a recording with its start and what is known.
    fn begin(
        &mut self,
        start: Start,
        known: impl FnOnce(&mut Writer<Chunks>) -> io::Result<()>,
    ) -> io::Result<()> {
        let number = self.number;
        let start = Start { segment: Some(RunSegment { run_ns: self.run_ns, number }), ..start };
        let mut writer = Writer::new(Chunks::new(self.disk.orders()), &start)?;
        known(&mut writer)?;
        writer.flush()?;
        let head_bytes = writer.out().begin(number, start.clock.utc(start.started_ns))?;
        self.number = number.saturating_add(1);
        self.segment = Some(OpenSegment { number, writer, head_bytes });
        Ok(())
    }

    fn end(&mut self, end: &End) -> bool {
        let Some(segment) = self.segment.take() else { return false };
        let ended = segment.writer.finish(end).and_then(Chunks::close);
        ended.map_err(|error| self.fail(&error)).is_ok()
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<Chunks>) -> io::Result<()>) {
        if let Some(segment) = &mut self.segment
            && let Err(error) = write(&mut segment.writer)
        {
            self.fail(&error);
        }
    }

    /// The recording ends here; another one is begun after a pause.
    fn fail(&mut self, error: &io::Error) {
        self.segment = None;
        self.resume = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.tell(error);
    }

    fn tell(&mut self, error: &io::Error) {
        if !self.said {
            self.said = true;
            say(&format!(
                "cannot record to {}: {error}; tracing continues, and recording goes on as soon as it can",
                self.directory.display()
            ));
        }
    }
}

impl Drop for FlightRecorder {
    /// The run ended with an error: there is no end to record, but keep everything before it.
    fn drop(&mut self) {
        if self.segment.is_some() {
            self.flush();
            self.disk.wait();
        }
    }
}
