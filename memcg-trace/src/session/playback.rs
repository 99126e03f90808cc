//! A recording that can be moved through in time. Backward is forward again from the start: a book depends on nothing else.

use std::io::{self, Read};

use anyhow::Result;

use super::{Book, Observer, Rollup, observer::tell};
use crate::record::{
    Learned, Record, Start,
    recording::{Damage, Entry, OpenError, Reader},
};

/// A recording, and the book as of some time in it.
pub struct Playback<R: Read, F> {
    open: F,
    rollup: Option<Rollup>,
    reader: Reader<R>,
    book: Book,
    /// Read, but not applied so far; `None`: there are no more.
    next: Option<Entry>,
    ended_ns: u64,
    damage: Option<Damage>,
}

impl<R: Read, F: Fn() -> io::Result<R>> Playback<R, F> {
    /// Opens it, and reads all of it once to know where it ends. `open` is asked for the file from its beginning, each time
    /// that time goes back; `rollup`: see [`Book::new`].
    pub fn open(open: F, rollup: Option<Rollup>) -> Result<Self, OpenError> {
        let mut scanned = Reader::open(open().map_err(OpenError::Io)?)?;
        let mut ended_ns = scanned.start().started_ns;
        let damage = loop {
            match scanned.read() {
                Ok(Entry::End(end)) => {
                    ended_ns = end.ended_ns;
                    break None;
                }
                Ok(entry) => ended_ns = ended_ns.max(time(&entry).unwrap_or(0)),
                Err(damage) => break Some(damage),
            }
        };
        let mut reader = Reader::open(open().map_err(OpenError::Io)?)?;
        let book = Book::new(reader.start().clone(), rollup.clone());
        let next = reader.read().ok();
        Ok(Self { open, rollup, reader, book, next, ended_ns, damage })
    }

    /// To the start; whoever observes has to begin anew, too.
    pub fn rewind(&mut self) -> Result<(), OpenError> {
        self.reader = Reader::open((self.open)().map_err(OpenError::Io)?)?;
        self.book = Book::new(self.reader.start().clone(), self.rollup.clone());
        self.next = self.reader.read().ok();
        Ok(())
    }

    pub fn start(&self) -> &Start {
        self.book.start()
    }

    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The time of its last entry (`CLOCK_MONOTONIC`, ns).
    pub fn ended_ns(&self) -> u64 {
        self.ended_ns
    }

    /// The reason why it cannot be read further than that; `None`: it is whole.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Forward: applies all that happened up to `to_ns` (`CLOCK_MONOTONIC`).
    pub fn run_to(&mut self, to_ns: u64, observer: &mut impl Observer) -> Result<()> {
        while let Some(entry) = self.next.take_if(|entry| time(entry).is_none_or(|t_ns| t_ns <= to_ns)) {
            self.apply(entry, observer)?;
        }
        Ok(())
    }

    /// Forward to the next time when something changed, with all of it; returns that time, or that of the end.
    pub fn run_to_change(&mut self, observer: &mut impl Observer) -> Result<u64> {
        while let Some(entry) = self.next.take() {
            let t_ns = time(&entry);
            self.apply(entry, observer)?;
            if let Some(t_ns) = t_ns.filter(|_| !self.book.changes().is_empty()) {
                self.run_to(t_ns, observer)?;
                return Ok(t_ns);
            }
        }
        Ok(self.ended_ns)
    }

    fn apply(&mut self, entry: Entry, observer: &mut impl Observer) -> Result<()> {
        self.next = self.reader.read().ok();
        match entry {
            Entry::Record(record) => self.book.apply(&record),
            Entry::Time(now_ns) => {
                self.book.advance(now_ns);
                let _ = observer.tick(&self.book)?;
            }
            Entry::End(_) => {
                self.book.settle();
                self.next = None;
            }
        }
        tell(&self.book, observer)
    }
}

/// When it was applied (`CLOCK_MONOTONIC`, ns); `None`: it goes with the one before.
fn time(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Record(Record::Event(event)) => Some(event.t_ns()),
        Entry::Record(Record::Walk(snapshot)) => Some(snapshot.ended_ns),
        Entry::Record(Record::Lost { t_ns, .. } | Record::Missed { t_ns, .. }) => Some(*t_ns),
        Entry::Record(Record::Learned(Learned::Copies(_) | Learned::Pins(_))) => None,
        Entry::Record(Record::Learned(Learned::Names { .. } | Learned::NamesMissing(_))) => None,
        Entry::Time(now_ns) => Some(*now_ns),
        Entry::End(end) => Some(end.ended_ns),
    }
}
