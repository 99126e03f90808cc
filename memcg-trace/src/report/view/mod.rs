//! What every output shows: facts of the ledger in base units, at wall-clock time.
//!
//! The fields of the JSON output are the fields of these structs: their names and order are part of its schema.

mod caches;
mod charges;
mod doctor;
mod event;
mod group;
mod memcg;
mod rollup;
mod scan;
mod slab;
mod slab_cache;
mod slab_event;
mod slab_groups;
mod summary;
mod verify;
mod whois;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use caches::{Pin, pins};
pub use charges::{Accounting, ChargesView};
pub use doctor::{AbilityView, DoctorView, KnownView, NodeView, Verdict};
pub use event::{Detail, EventKind, EventView, subject};
pub use group::{Common, Tally};
pub use memcg::{Listed, MemcgView, TaskView, state_name};
pub use rollup::{Rolled, rolled};
pub use scan::{By, Request, ScanGroup, ScanView, Scanned, Selection, Sort};
pub use slab::{SlabRequest, SlabSummary, SlabView};
pub use slab_cache::{CreatorView, SlabCacheView};
pub use slab_event::{SlabDelta, SlabEventKind, SlabEventView, SlabLoss};
pub use slab_groups::{SlabBy, SlabGroup};
pub use summary::{AllocFailure, Group, NamesMissingView, Run, SummaryView};
pub use verify::{Changed, Ground, VerdictView, VerifyView};
pub use whois::{PathSource, WhoisView};

use crate::record::Clock;

/// What views must know of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewpoint {
    pub clock: Clock,
    pub page_bytes: u64,
    /// Memcgs that were dying at the start and that no walk brought; `None`: not counted.
    pub dying_unseen: Option<u64>,
}

/// What is not known, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Unknown<'a> {
    pub what: &'a str,
    pub reason: &'a str,
}

/// Nine digits always: text of equal length sorts as time does.
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}
