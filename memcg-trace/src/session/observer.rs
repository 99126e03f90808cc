//! Observers of a run. The engine notifies them of changes; printing, metrics and screens are observers.

use std::{ops::ControlFlow, sync::Arc};

use anyhow::Result;
use tokio::sync::Notify;

use super::Book;
use crate::{record::Snapshot, slab, tracker::Change};

/// Notified of changes of memcgs, and of slab caches if these are followed.
///
/// Called between two drains of the perf buffers, on the thread that drains them: a slow observer loses events. Slow
/// output (a terminal, a client) belongs on a separate thread, with a copy of its data. An error ends the run.
pub trait Observer: SlabObserver {
    /// The changes by a record or by time, from [`Book::changes`]. The book has the state right after: memcgs of these
    /// changes and their names can be looked up now, even if they were just freed.
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()>;

    /// A walk was applied: the changes by it were told before.
    fn walked(&mut self, _book: &Book, _walk: &Snapshot) -> Result<()> {
        Ok(())
    }

    /// Called after all settled changes of each poll, every 50 ms or sooner. [`ControlFlow::Break`] ends the run.
    fn tick(&mut self, _book: &Book) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    /// Notified by another thread that waits for what a tick makes: the next poll is then at once. Whoever notifies bounds
    /// how often.
    fn wake(&self) -> Option<Arc<Notify>> {
        None
    }
}

/// Notified of changes of slab caches, like [`Observer`].
pub trait SlabObserver {
    /// The ledger has the state right after the change.
    fn slab_changed(&mut self, _ledger: &slab::SlabLedger, _change: &slab::SlabChange) -> Result<()> {
        Ok(())
    }

    /// Called after each check for growth, at `now_ns` (`CLOCK_MONOTONIC`).
    fn slab_looked(&mut self, _ledger: &slab::SlabLedger, _now_ns: u64) -> Result<()> {
        Ok(())
    }

    /// See [`Observer::tick`].
    fn slab_tick(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Notifies the observer of the last step of the book.
pub(super) fn tell(book: &Book, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
    match book.changes() {
        [] => Ok(()),
        changes => observer.changed(book, changes),
    }
}

/// No observer: the result of a run is in the book.
impl Observer for () {
    fn changed(&mut self, _: &Book, _: &[Change]) -> Result<()> {
        Ok(())
    }
}

impl SlabObserver for () {}
