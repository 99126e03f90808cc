//! Evidence read about memcgs before they are reported as leaked. It is added to the book as records, and thus to every
//! output and the recording. Each kind limits the time for reading between two drains.

use std::path::Path;

use crate::{
    cause::Explanation,
    event::Key,
    kernel::{Kernel, pins::PinsError, slab::memcg_caches::CachesError},
    record::{self, CacheCopies, Learned, Record},
    source::{Caches, MemcgPins},
};

/// The evidence that can be read here.
#[derive(Default)]
pub struct LeakEvidence {
    /// `None`: memcgs do not have their own slab caches here, or these cannot be read.
    caches: Option<Caches>,
    /// `None`: it cannot be read here what refers to memcgs.
    pins: Option<MemcgPins>,
}

impl LeakEvidence {
    /// Opens the sources, before privileges are dropped. Evidence that cannot be read is added to `unknown`.
    pub fn open(kernel: &Kernel, btf: Option<&Path>, unknown: &mut Vec<(String, String)>) -> Self {
        let caches = Caches::open(kernel).unwrap_or_else(|error| {
            unknown.push(("the slab caches of memcgs".to_owned(), error.to_string()));
            None
        });
        // Where caches hold memcgs (3.10), they are what a leak is told with.
        let told = caches.as_ref().is_some_and(Caches::hold);
        let pins = (!told).then(|| MemcgPins::open(kernel, btf)).and_then(|pins| {
            pins.map_err(|error| unknown.push(("what pins memcgs".to_owned(), error.to_string()))).ok()
        });
        Self { caches, pins }
    }

    /// Evidence about memcgs that are about to be reported; does not read again what was just read.
    pub fn before_leaks(&mut self, due: &[Key]) -> Vec<Record> {
        let caches = self.caches.as_mut().filter(|_| !due.is_empty());
        let read = caches.and_then(|caches| caches.read_if_rested(due));
        let pins = self.pins.as_mut().filter(|_| !due.is_empty());
        let looked = pins.and_then(|pins| pins.look_if_rested(due));
        self.caches_read(read).into_iter().chain(self.pins_read(looked)).collect()
    }

    /// Evidence about all dying memcgs, once in a while: what pins them may have changed.
    pub fn again(&mut self, dying: &[Key]) -> Vec<Record> {
        let caches = self.caches.as_mut().filter(|_| !dying.is_empty());
        let read = caches.and_then(|caches| caches.read_if_rested(dying));
        let pins = self.pins.as_mut().filter(|_| !dying.is_empty());
        let looked = pins.map(|pins| pins.look_again(dying));
        self.caches_read(read).into_iter().chain(self.pins_read(looked)).collect()
    }

    /// Evidence about all dying memcgs at the end.
    pub fn at_the_end(&mut self, dying: &[Key]) -> Vec<Record> {
        let caches = self.caches.as_mut().filter(|_| !dying.is_empty());
        let read = caches.map(|caches| caches.read(dying));
        let pins = self.pins.as_mut().filter(|_| !dying.is_empty());
        let looked = pins.map(|pins| pins.look(dying));
        self.caches_read(read).into_iter().chain(self.pins_read(looked)).collect()
    }

    /// What pins one memcg right now; `None`: it was freed, or it cannot be read here.
    pub fn explain(&mut self, memcg: Key) -> Result<Option<Explanation>, PinsError> {
        self.pins.as_mut().map_or(Ok(None), |pins| pins.look_at_one(memcg))
    }

    /// An error of these is permanent.
    fn pins_read(&mut self, looked: Option<Result<record::PinsRead, PinsError>>) -> Option<Record> {
        match looked {
            None => None,
            Some(Ok(pins)) => Some(Record::Learned(Learned::Pins(pins))),
            Some(Err(error)) => {
                log::warn!("what pins memcgs is not known: {error}");
                self.pins = None;
                None
            }
        }
    }

    /// A list that changed too fast may be readable the next time; other errors are permanent.
    fn caches_read(&mut self, read: Option<Result<CacheCopies, CachesError>>) -> Option<Record> {
        match read {
            None => None,
            Some(Ok(copies)) => Some(Record::Learned(Learned::Copies(copies))),
            Some(Err(CachesError::Broken)) => {
                log::warn!("{}", CachesError::Broken);
                None
            }
            Some(Err(error)) => {
                log::warn!("the slab caches of memcgs are unknown: {error}");
                self.caches = None;
                None
            }
        }
    }
}
