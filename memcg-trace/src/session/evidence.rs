//! What is read about memcgs before they are told as leaked. It enters the book as records, and so every output and the
//! recording; each kind of it sees to it that reading takes little of the time between two drains.

use crate::{
    event::Key,
    kernel::{Kernel, slab::memcg_caches::CachesError},
    record::Record,
    source::Caches,
};

/// All that can be read here.
#[derive(Default)]
pub struct Evidence {
    /// `None`: memcgs have no slab caches of their own here, or it cannot be read which.
    caches: Option<Caches>,
}

impl Evidence {
    /// Opened with the privileges of this moment. What is wanted and cannot be read is added to `unknown`.
    pub fn open(kernel: &Kernel, unknown: &mut Vec<(String, String)>) -> Self {
        let caches = Caches::open(kernel).unwrap_or_else(|error| {
            unknown.push(("the slab caches of memcgs".to_owned(), error.to_string()));
            None
        });
        Self { caches }
    }

    /// About those that will be leaked at once; what was read a moment ago is not read again.
    pub fn before_leaks(&mut self, due: &[Key]) -> Vec<Record> {
        let caches = self.caches.as_mut().filter(|_| !due.is_empty());
        let read = caches.and_then(|caches| caches.read_if_rested(due));
        self.records(read)
    }

    /// About all that are dying at the end.
    pub fn at_the_end(&mut self, dying: &[Key]) -> Vec<Record> {
        let caches = self.caches.as_mut().filter(|_| !dying.is_empty());
        let read = caches.map(|caches| caches.read(dying));
        self.records(read)
    }

    /// A list that changed too fast may hold still the next time; no other error goes away.
    fn records(&mut self, read: Option<Result<Record, CachesError>>) -> Vec<Record> {
        match read {
            None => Vec::new(),
            Some(Ok(record)) => vec![record],
            Some(Err(CachesError::Broken)) => {
                log::warn!("{}", CachesError::Broken);
                Vec::new()
            }
            Some(Err(error)) => {
                log::warn!("the slab caches of memcgs are not known: {error}");
                self.caches = None;
                Vec::new()
            }
        }
    }
}
