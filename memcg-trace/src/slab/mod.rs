//! Slab caches: events and listings in, what became of each cache out. As pure as the [`crate::tracker`]: no I/O, no clock,
//! no logging; time comes in events and in [`Ledger::advance`].
//!
//! What it guarantees:
//!
//! - **Conservation.** `created + adopted == live + destroying + leaked + released`, after any events whatsoever.
//! - **Merging does not mislead.** A cache that is asked for and exists already is an alias: a name, not a cache.
//!   Destroying a name is no release.
//! - **A leak is told with its reason**, and taken back ("late") if the cache is released after all.
//! - **No false calm.** Whatever was lost or missed makes [`Ledger::conclusive`] false: a later look at the kernel's list
//!   cannot tell a released cache from one that leaked, because newer kernels strike both off.

mod cache;
mod event;
mod growth;
mod ledger;
mod listing;
mod run;

pub use cache::{Asked, Cache, Creator, Leak, Number, State, Symbol};
pub use event::{SlabDecodeError, SlabEvent};
pub use growth::{Family, Growing, Growth, root_name, stem};
pub use ledger::{Change, Config, Ledger, Totals, What};
pub use listing::{ListCounts, Listed, Listing};
pub use run::{Owners, SlabRun};

/// What enters the ledger.
pub type SlabRecord = crate::record::Record<SlabEvent>;
