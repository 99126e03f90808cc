//! The ledger of slab caches: turns events and listings into changes of caches. Pure like the [`crate::tracker`]: no
//! I/O, no clock, no logging; time comes from events and [`Ledger::advance`].
//!
//! What it guarantees:
//!
//! - **Conservation.** `created + adopted == live + destroying + leaked + released`, after any sequence of events.
//! - **Merging does not mislead.** A request that is merged into an existing cache is an alias, not a cache. Destroying
//!   an alias is not a release.
//! - **A leak is reported with its reason**, and withdrawn ("late") if the cache is released after all.
//! - **No false calm.** Lost or missed events make [`Ledger::conclusive`] false: reading the kernel's list later does
//!   not distinguish a released cache from a leaked one, because newer kernels remove both.

mod cache;
mod change;
mod event;
mod growth;
mod ledger;
mod listing;
mod run;
mod totals;

pub use cache::{Asked, Cache, Creator, Leak, Number, State, Symbol};
pub use change::{Change, What};
pub use event::{SlabDecodeError, SlabEvent};
pub use growth::{Family, Growing, Growth, root_name, stem};
pub use ledger::{Config, Ledger};
pub use listing::{ListCounts, Listed, Listing};
pub use run::{Owners, SlabRun};
pub use totals::Totals;

/// Input of the ledger.
pub type SlabRecord = crate::record::Record<SlabEvent>;
