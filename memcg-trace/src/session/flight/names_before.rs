//! What earlier runs learnt about memcgs: a restart must not forget whose a leak is, for its container may be gone by now.

use std::{fs::File, io};

use super::directory::RotationDirectory;
use crate::{
    attribution::Facts,
    event::Key,
    record::{
        Start,
        recording::{Entry, Joined, Reader},
    },
    session::{Book, replay::enter},
};

/// Recordings that are looked at: a run that was killed at once has none to tell.
const LATEST: usize = 3;

/// Names as of the end of the latest recording of this boot that has any. One that was cut short counts as far as it goes.
pub fn names_before(directory: &RotationDirectory, start: &Start) -> io::Result<Vec<(Key, Vec<Facts>)>> {
    for (name, _) in directory.list()?.into_iter().rev().take(LATEST) {
        let Ok(Ok(reader)) = directory.read(&name).map(Reader::open) else { continue };
        if !reader.start().is_of_same_boot(start) {
            break;
        }
        let names = names_of(reader);
        if !names.is_empty() {
            return Ok(names);
        }
    }
    Ok(Vec::new())
}

fn names_of(reader: Reader<File>) -> Vec<(Key, Vec<Facts>)> {
    let mut book = Book::new(reader.start().clone(), None);
    let mut recording = Joined::alone(reader);
    while let Ok(entry) = recording.read() {
        enter(&mut book, &entry);
        if matches!(entry, Entry::End(_)) {
            break;
        }
    }
    let named = book.known().into_iter().filter(|(_, facts)| !facts.is_empty());
    named.map(|(memcg, facts)| (memcg.key, facts.to_vec())).collect()
}
