//! A recording that can be moved through in time. Backward is forward again from the start: a book depends on nothing else.

use std::io::{self, Read};

use anyhow::Result;

use super::{
    Book, Observer, Rollup,
    observer::tell,
    replay::{book_of, enter},
};
use crate::record::{
    Start,
    recording::{Damage, Entry, Joined, OpenError, TimeWindow},
};

/// A recording, and the book as of some time in it.
pub struct Playback<R: Read, I, F> {
    open: F,
    window: TimeWindow,
    rollup: Option<Rollup>,
    recording: Joined<R, I>,
    book: Book,
    /// Read, but not applied so far; `None`: there are no more.
    next: Option<Entry>,
    ended_ns: u64,
    damage: Option<Damage>,
}

impl<R: Read, I: Iterator<Item = io::Result<R>>, F: Fn() -> I> Playback<R, I, F> {
    /// Opens it, and reads all of it once to know where it ends. `open` is asked for its files from the first one, each time
    /// that time goes back; `rollup`: see [`Book::new`].
    pub fn open(open: F, window: TimeWindow, rollup: Option<Rollup>) -> Result<Self, OpenError> {
        let mut scanned = Joined::open(open(), window)?;
        let mut ended_ns = window.since_ns.unwrap_or(scanned.start().started_ns);
        let damage = loop {
            match scanned.read() {
                Ok(entry) => {
                    ended_ns = ended_ns.max(entry.t_ns().unwrap_or(0));
                    if let Entry::End(_) = entry {
                        break None;
                    }
                }
                Err(damage) => break Some(damage),
            }
        };
        let (recording, book) = begin(&open, window, &rollup)?;
        let mut playback = Self { open, window, rollup, recording, book, next: None, ended_ns, damage };
        playback.next = playback.recording.read().ok();
        Ok(playback)
    }

    /// To the start; whoever observes has to begin anew, too.
    pub fn rewind(&mut self) -> Result<(), OpenError> {
        (self.recording, self.book) = begin(&self.open, self.window, &self.rollup)?;
        self.next = self.recording.read().ok();
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
        while let Some(entry) = self.next.take_if(|entry| entry.t_ns().is_none_or(|t_ns| t_ns <= to_ns)) {
            self.apply(&entry, observer)?;
        }
        Ok(())
    }

    /// Forward to the next time when something changed, with all of it; returns that time, or that of the end.
    pub fn run_to_change(&mut self, observer: &mut impl Observer) -> Result<u64> {
        while let Some(entry) = self.next.take() {
            let t_ns = entry.t_ns();
            self.apply(&entry, observer)?;
            if let Some(t_ns) = t_ns.filter(|_| !self.book.changes().is_empty()) {
                self.run_to(t_ns, observer)?;
                return Ok(t_ns);
            }
        }
        Ok(self.ended_ns)
    }

    fn apply(&mut self, entry: &Entry, observer: &mut impl Observer) -> Result<()> {
        self.next = match entry {
            Entry::End(_) => None,
            _ => self.recording.read().ok(),
        };
        enter(&mut self.book, entry);
        if let Entry::Time(_) = entry {
            let _ = observer.tick(&self.book)?;
        }
        tell(&self.book, observer)
    }
}

/// As of the start.
fn begin<R: Read, I: Iterator<Item = io::Result<R>>>(
    open: &impl Fn() -> I,
    window: TimeWindow,
    rollup: &Option<Rollup>,
) -> Result<(Joined<R, I>, Book), OpenError> {
    let mut recording = Joined::open(open(), window)?;
    let start = recording.start().clone();
    let book = book_of(&mut recording, start, rollup.clone());
    Ok((recording, book))
}
