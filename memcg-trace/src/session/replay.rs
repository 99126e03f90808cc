//! A recorded run, told once more.

use std::io::Read;

use anyhow::Result;

use super::{Book, Observer, observer::tell};
use crate::record::{
    End,
    recording::{Damage, Entry, Reader},
};

/// How far a recording goes.
#[derive(Debug)]
pub enum Replayed {
    /// To the end of the run.
    Whole(End),
    /// The rest cannot be read.
    Until(Damage),
}

/// Enters what was recorded into `book`, which was opened with its start. The observer is told what that of the run was
/// told; one that has seen enough is told the rest all the same.
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
