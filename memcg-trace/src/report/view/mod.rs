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
mod slab_groups;
mod summary;
mod verify;
mod whois;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

pub use caches::{Pin, pins};
pub use charges::{Accounting, ChargesView};
pub use doctor::{AbilityView, DoctorView, KnownView, NodeView, Verdict};
pub use event::{Detail, EventKind, EventView, subject};
pub use group::{ByOwner, Common, Tally};
pub use memcg::{Listed, MemcgView, TaskView, state_name};
pub use rollup::{Rolled, Rollup};
pub use scan::{By, Request, ScanGroup, ScanView, Scanned, Selection, Sort};
pub use slab::{
    CreatorView, SlabCacheView, SlabDelta, SlabEventKind, SlabEventView, SlabLoss, SlabRequest, SlabRun,
    SlabSummary, SlabView,
};
pub use slab_groups::{Owners, SlabBy, SlabGroup};
pub use summary::{AllocFailure, Group, NamesMissingView, Run, SummaryView, Unknown};
pub use verify::{Changed, Ground, VerdictView, VerifyView};
pub use whois::{PathSource, WhoisView};

/// Turns `CLOCK_MONOTONIC`, in which events are stamped, into the clocks that people and other tools use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, ns: time spent suspended.
    pub boottime_offset_ns: i64,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, ns.
    pub realtime_offset_ns: i64,
}

impl Clock {
    /// Since boot, ns.
    pub fn boot_ns(&self, t_ns: u64) -> u64 {
        t_ns.saturating_add_signed(self.boottime_offset_ns)
    }

    /// Since the epoch, ns.
    pub fn real_ns(&self, t_ns: u64) -> i128 {
        i128::from(t_ns) + i128::from(self.realtime_offset_ns)
    }

    /// RFC 3339, UTC.
    pub(super) fn utc(&self, t_ns: u64) -> Timestamp {
        // 64-bit nanoseconds end in the year 2841, timestamps in 9999.
        Timestamp::from_nanosecond(self.real_ns(t_ns)).unwrap_or(Timestamp::MAX)
    }
}

/// What views must know of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewpoint {
    pub clock: Clock,
    pub page_bytes: u64,
    /// Memcgs that were dying at the start and that no walk brought; `None`: not counted.
    pub dying_unseen: Option<u64>,
}

/// Nine digits always: text of equal length sorts as time does.
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}
