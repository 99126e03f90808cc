//! Recordings of a rotation, one after the other, as one.
//!
//! Where one goes on with what the one before ended with, its checkpoint says nothing new and is left out: the entries are
//! those of a recording in one file. Anything else between two is an [`Outage`], and then the checkpoint is an entry, or
//! the first walk of the run that follows.

use std::{
    io::{self, Read},
    iter, mem,
};

use super::{Damage, Entry, OpenError, Reader};
use crate::record::{End, Outage, OutageReason, RunSegment, Start};

/// The part of a recording that is shown, `CLOCK_MONOTONIC`, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// `None`: from the beginning.
    pub since_ns: Option<u64>,
    /// `None`: to the end.
    pub until_ns: Option<u64>,
    /// The last recording is still being written: where it is cut off, it ends.
    pub grows: bool,
}

/// Reads them.
pub struct Joined<R: Read, I> {
    reader: Reader<R>,
    rest: I,
    window: TimeWindow,
    /// The latest time that was read, ns.
    now_ns: u64,
    /// Of the recordings that were read to their end.
    undecodable: u64,
    /// What this one begins with is known.
    continues: bool,
    /// Read, but not given out so far.
    next: Option<Result<Entry, Damage>>,
}

impl<R: Read, I: Iterator<Item = io::Result<R>>> Joined<R, I> {
    /// Begins with the first file that can be read: one may have been removed by now.
    pub fn open(mut files: I, window: TimeWindow) -> Result<Self, OpenError> {
        let mut failure = OpenError::Io(io::ErrorKind::NotFound.into());
        let reader = loop {
            let Some(file) = files.next() else { return Err(failure) };
            match file.map_err(OpenError::Io).and_then(Reader::open) {
                Ok(reader) => break reader,
                Err(error) => failure = error,
            }
        };
        let now_ns = reader.start().started_ns;
        Ok(Self { reader, rest: files, window, now_ns, undecodable: 0, continues: false, next: None })
    }

    /// Facts from the start of the recording that is being read: at first, of all of them.
    pub fn start(&self) -> &Start {
        self.reader.start()
    }

    pub fn window(&self) -> TimeWindow {
        self.window
    }

    /// Gives `apply` what comes before the window.
    pub fn before_window(&mut self, mut apply: impl FnMut(Entry)) {
        let Some(since_ns) = self.window.since_ns else { return };
        loop {
            match self.read() {
                Ok(entry) if !matches!(entry, Entry::End(_)) && is_before(&entry, since_ns) => apply(entry),
                other => {
                    self.next = Some(other);
                    return;
                }
            }
        }
    }

    /// The next entry; there is none after [`Entry::End`].
    pub fn read(&mut self) -> Result<Entry, Damage> {
        if let Some(next) = self.next.take() {
            return next;
        }
        loop {
            match self.reader.read() {
                Ok(Entry::End(end)) => {
                    if let Some(entry) = self.go_on(Ok(end)) {
                        return entry;
                    }
                }
                Ok(Entry::Checkpoint(_)) if mem::take(&mut self.continues) => {}
                Ok(entry) => {
                    let t_ns = entry.t_ns().unwrap_or(self.now_ns);
                    match self.window.until_ns {
                        Some(until_ns) if t_ns > until_ns => return Ok(self.end_at(until_ns)),
                        _ => self.now_ns = self.now_ns.max(t_ns),
                    }
                    return Ok(entry);
                }
                Err(damage) => {
                    if let Some(entry) = self.go_on(Err(damage)) {
                        return entry;
                    }
                }
            }
        }
    }

    /// To the next recording, after one that ended as it did. `None`: it goes on where that one ended.
    fn go_on(&mut self, ended: Result<End, Damage>) -> Option<Result<Entry, Damage>> {
        if let Ok(end) = &ended {
            self.now_ns = self.now_ns.max(end.ended_ns);
            self.undecodable += end.undecodable;
        }
        // One that cannot be opened was removed meanwhile, or was never begun.
        let next = self.rest.by_ref().find_map(|file| Reader::open(file.ok()?).ok());
        let Some(next) = next else {
            return Some(match ended {
                Ok(end) => Ok(Entry::End(End { undecodable: self.undecodable, ..end })),
                Err(Damage::CutOff) if self.window.grows => Ok(self.end_at(self.now_ns)),
                Err(damage) => Err(damage),
            });
        };
        let reason = gap(&ended, self.reader.start(), next.start());
        let (from_ns, to_ns) = (self.now_ns, next.start().started_ns.max(self.now_ns));
        self.reader = next;
        self.continues = reason.is_none();
        match (reason, self.window.until_ns) {
            (Some(_), Some(until_ns)) if to_ns > until_ns => Some(Ok(self.end_at(until_ns))),
            (Some(reason), _) => {
                self.now_ns = to_ns;
                Some(Ok(Entry::Outage(Outage { from_ns, to_ns, reason })))
            }
            (None, _) => None,
        }
    }

    fn end_at(&self, ended_ns: u64) -> Entry {
        Entry::End(End { ended_ns, clock: self.start().clock, undecodable: self.undecodable })
    }
}

/// One recording.
impl<R: Read> Joined<R, iter::Empty<io::Result<R>>> {
    pub fn alone(reader: Reader<R>) -> Self {
        let now_ns = reader.start().started_ns;
        let (rest, window) = (iter::empty(), TimeWindow::default());
        Self { reader, rest, window, now_ns, undecodable: 0, continues: false, next: None }
    }
}

/// What goes with an entry before the window is before it, too.
fn is_before(entry: &Entry, since_ns: u64) -> bool {
    entry.t_ns().is_none_or(|t_ns| t_ns < since_ns)
}

/// The reason why nothing is known of the time between two recordings; `None`: there is no such time.
fn gap(ended: &Result<End, Damage>, start: &Start, next: &Start) -> Option<OutageReason> {
    let of_run = |RunSegment { run_ns, .. }| run_ns;
    let same_run = start.segment.map(of_run) == next.segment.map(of_run);
    let number = |start: &Start| start.segment.map(|segment| segment.number);
    let follows = number(start).and_then(|number| number.checked_add(1)) == number(next);
    match ended {
        Ok(_) if same_run && follows => None,
        Ok(_) if same_run => Some(OutageReason::Missing),
        Ok(_) => Some(OutageReason::Stopped),
        Err(Damage::CutOff) if same_run => Some(OutageReason::NotWritten),
        Err(Damage::CutOff) => Some(OutageReason::CutOff),
        Err(Damage::Corrupt(_) | Damage::Io(_)) => Some(OutageReason::Damaged),
    }
}
