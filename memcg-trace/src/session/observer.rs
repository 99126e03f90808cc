//! Who watches a run. The engine keeps the books and tells; printing, metrics and screens are observers.

use std::ops::ControlFlow;

use anyhow::Result;

use super::Book;
use crate::{slab, tracker::Change};

/// Is told what happens to memcgs, and to slab caches where these are followed.
///
/// Everything is told between two drains of the perf buffers, on the one thread that drains them: an observer that takes
/// long loses events. What is slow (a terminal, a client) belongs on a thread of its own, with a copy of what it shows. An
/// error ends the run.
pub trait Observer: SlabObserver {
    /// What a record or the passing of time did, as [`Book::changes`] has it. The book is as it is right after it: a memcg of
    /// these changes can be looked up now, and its names, even if this is the last time that it is heard of.
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()>;

    /// All that was settled has been told; comes with each poll, every 50 ms or sooner. [`ControlFlow::Break`]: it has seen
    /// enough, the run may end.
    fn tick(&mut self, _book: &Book) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Is told what happens to slab caches, as an [`Observer`] is.
pub trait SlabObserver {
    /// The ledger is as it is right after the change.
    fn slab_changed(&mut self, _ledger: &slab::Ledger, _change: &slab::Change) -> Result<()> {
        Ok(())
    }

    /// It was looked how the caches have grown since the last time; it is `now_ns` (`CLOCK_MONOTONIC`).
    fn slab_looked(&mut self, _ledger: &slab::Ledger, _now_ns: u64) -> Result<()> {
        Ok(())
    }

    /// See [`Observer::tick`].
    fn slab_tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Tells what the last step of the book did.
pub(super) fn tell(book: &Book, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
    match book.changes() {
        [] => Ok(()),
        changes => observer.changed(book, changes),
    }
}

/// Nobody: what a run comes to is in the book.
impl Observer for () {
    fn changed(&mut self, _: &Book, _: &[Change]) -> Result<()> {
        Ok(())
    }
}

impl SlabObserver for () {}
