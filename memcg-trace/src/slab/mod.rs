//! Slab caches: events and listings in, what became of each cache out. As pure as the [`crate::tracker`]: no I/O, no clock,
//! no logging; time comes in events and in [`SlabLedger::advance`].
//!
//! What it guarantees:
//!
//! - **Conservation.** `created + adopted == live + destroying + leaked + released`, after any sequence of events.
//! - **Merging does not mislead.** A request that is merged into an existing cache is an alias, not a cache. Destroying
//!   an alias is not a release.
//! - **A leak is reported with its reason**, and withdrawn ("late") if the cache is released after all.
//! - **No false calm.** Whatever was lost or missed makes [`SlabLedger::conclusive`] false: a later look at the kernel's list
//!   cannot tell a released cache from one that leaked, because newer kernels strike both off.

mod cache;
mod change;
mod event;
mod growth;
mod ledger;
mod listing;
mod run;
mod totals;

pub use cache::{AskedName, Cache, Creator, Leak, Number, SlabState, Symbol};
pub use change::{SlabChange, SlabStep};
pub use event::{SlabDecodeError, SlabEvent};
pub use growth::{CacheFamily, Growing, Growth, root_name, stem};
pub use ledger::{SlabConfig, SlabLedger};
pub use listing::{ListCounts, ListedCache, Listing};
pub use run::{Owners, SlabBackend, SlabRun};
pub use totals::SlabTotals;

/// Input of the ledger.
pub type SlabRecord = crate::record::Record<SlabEvent>;
