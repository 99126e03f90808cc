//! Replays a recorded run.

use std::io::{self, Read};

use anyhow::Result;

use super::{Book, Observer, Rollup, observer::tell};
use crate::record::{
    End, Record, Start,
    recording::{Damage, Entry, Joined},
};

/// The end of a recording.
#[derive(Debug)]
pub enum Replayed {
    /// Complete.
    Whole(End),
    /// The rest cannot be read, and the reason.
    Until(Damage),
}

/// The book of a recording that has not been read so far, as of the beginning of its window: what came before is in it, and
/// nobody is told. `start`: that of the recording, or changed.
pub fn book_of<R: Read, I: Iterator<Item = io::Result<R>>>(
    recording: &mut Joined<R, I>,
    start: Start,
    rollup: Option<Rollup>,
) -> Book {
    let mut book = Book::new(start, rollup);
    recording.before_window(|entry| enter(&mut book, &entry));
    if let Some(since_ns) = recording.window().since_ns {
        book.begin_at(since_ns);
    }
    book
}

/// Applies a recording to its book, see [`book_of`]. The observer gets the same notifications as that of the run; a break
/// does not end the replay.
pub fn replay<R: Read, I: Iterator<Item = io::Result<R>>>(
    recording: &mut Joined<R, I>,
    book: &mut Book,
    observer: &mut (impl Observer + ?Sized),
) -> Result<Replayed> {
    loop {
        let entry = match recording.read() {
            Ok(entry) => entry,
            Err(damage) => {
                book.cut_off();
                return Ok(Replayed::Until(damage));
            }
        };
        enter(book, &entry);
        tell(book, observer)?;
        match &entry {
            Entry::Record(Record::Walk(walk)) => observer.walked(book, walk)?,
            Entry::Time(_) => drop(observer.tick(book)?),
            Entry::End(end) => return Ok(Replayed::Whole(*end)),
            Entry::Record(_) | Entry::Checkpoint(_) | Entry::Outage(_) => {}
        }
    }
}

/// Applies an entry.
pub(super) fn enter(book: &mut Book, entry: &Entry) {
    match entry {
        Entry::Checkpoint(checkpoint) => book.resume(checkpoint),
        Entry::Record(record) => book.apply(record),
        Entry::Time(now_ns) => book.advance(*now_ns),
        Entry::Outage(outage) => book.interrupt(outage),
        Entry::End(_) => book.settle(),
    }
}
