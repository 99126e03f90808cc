//! What a run is recorded to: a file, a rotation, both or neither.

use std::path::Path;

use anyhow::Result;

use super::{
    Book,
    flight::{Flight, FlightRecorder},
    recorder::Recorder,
};
use crate::{
    attribution::Facts,
    event::Key,
    kernel::clock,
    record::{End, Record, Start},
};

/// Both get the same.
#[derive(Default)]
pub struct Recordings {
    file: Option<Recorder>,
    flight: Option<FlightRecorder>,
}

impl Recordings {
    pub fn start(file: Option<&Path>, flight: Option<&Flight<'_>>, start: &Start) -> Result<Self> {
        let file = file.map(|path| Recorder::start(path, start)).transpose()?;
        let flight = flight.map(|flight| FlightRecorder::start(flight, start)).transpose()?;
        Ok(Self { file, flight })
    }

    /// Records to a new file from now on.
    pub fn start_new(&mut self, path: &Path, book: &Book) -> Result<()> {
        self.file = Some(Recorder::start_new(path, book, clock::offsets())?);
        Ok(())
    }

    /// See [`FlightRecorder::names_before`].
    pub fn names_before(&mut self) -> Vec<(Key, Vec<Facts>)> {
        self.flight.as_mut().map(FlightRecorder::names_before).unwrap_or_default()
    }

    /// A record that is applied to the ledger next.
    pub fn record(&mut self, record: &Record) {
        self.file.iter_mut().for_each(|file| file.record(record));
        self.flight.iter_mut().for_each(|flight| flight.record(record));
    }

    /// A time that is passed to the ledger next.
    pub fn time(&mut self, now_ns: u64) {
        self.file.iter_mut().for_each(|file| file.time(now_ns));
        self.flight.iter_mut().for_each(|flight| flight.time(now_ns));
    }

    pub fn flush(&mut self) {
        self.file.iter_mut().for_each(Recorder::flush);
        self.flight.iter_mut().for_each(FlightRecorder::flush);
    }

    /// The book knows all that was recorded, and no more; see [`FlightRecorder::keep_up`].
    pub fn keep_up(&mut self, book: &Book, undecodable: u64) {
        self.flight.iter_mut().for_each(|flight| flight.keep_up(book, undecodable));
    }

    /// Ends them; returns whether they are complete.
    pub fn finish(&mut self, end: &End) -> bool {
        let file = self.file.take().is_none_or(|file| file.finish(end));
        let flight = self.flight.take().is_none_or(|flight| flight.finish(end));
        file && flight
    }
}
