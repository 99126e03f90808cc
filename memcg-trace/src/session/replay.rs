//! Replays a recorded run.

use std::io::Read;

use anyhow::Result;

use super::{Book, Observer, observer::tell};
use crate::record::{
    End, Record,
    recording::{Damage, Entry, Reader},
};

/// The end of a recording.
#[derive(Debug)]
pub enum Replayed {
    /// Complete.
    Whole(End),
    /// The rest cannot be read, and the reason.
    Until(Damage),
}

/// Applies a recording to `book`, which was created with its start. The observer gets the same notifications as that of
/// the run; a break does not end the replay.
pub fn replay(
    reader: &mut Reader<impl Read>,
    book: &mut Book,
    observer: &mut (impl Observer + ?Sized),
) -> Result<Replayed> {
    loop {
        match reader.read() {
            Ok(Entry::Record(record)) => {
                book.apply(&record);
                tell(book, observer)?;
                if let Record::Walk(walk) = &record {
                    observer.walked(book, walk)?;
                }
            }
            Ok(Entry::Time(now_ns)) => {
                book.advance(now_ns);
                tell(book, observer)?;
                let _ = observer.tick(book)?;
            }
            Ok(Entry::End(end)) => {
                book.settle();
                tell(book, observer)?;
                return Ok(Replayed::Whole(end));
            }
            Err(damage) => return Ok(Replayed::Until(damage)),
        }
    }
}
