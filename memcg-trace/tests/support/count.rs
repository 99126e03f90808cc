//! An observer that only counts: all that it takes to watch a run.

use std::ops::ControlFlow;

use anyhow::Result;
use memcg_trace::{
    session::{Book, Observer, SlabObserver},
    tracker::{Change, What},
};

/// Memcgs that came and that went.
#[derive(Debug, Default)]
pub struct Count {
    pub online: u64,
    pub freed: u64,
    /// Those that went, of those whose birth was seen.
    pub lives: u64,
    pub ticks: u64,
    /// It has seen enough after so many lives.
    pub enough: Option<u64>,
}

impl Observer for Count {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        for change in changes {
            match &change.what {
                What::Online(key) => self.online += u64::from(book.tracker().get(key).is_some()),
                What::Freed { memcg, .. } => {
                    self.freed += 1;
                    self.lives += u64::from(memcg.online_ns.is_some());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tick(&mut self, _: &Book) -> Result<ControlFlow<()>> {
        self.ticks += 1;
        let enough = self.enough.is_some_and(|enough| self.lives >= enough);
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

impl SlabObserver for Count {}
