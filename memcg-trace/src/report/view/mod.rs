//! Views: the data of all outputs, in base units and wall-clock time.
//!
//! The fields of these structs are those of the JSON output: their names and order are part of its schema.

mod cache_pins;
mod charges;
mod doctor;
mod event;
mod explain;
mod explained;
mod group;
mod holder;
mod largest_pin;
mod leaks;
mod matrix;
mod memcg;
mod memcg_list;
pub(super) mod pin;
mod pin_facts;
mod pin_groups;
mod pinned;
mod reap;
mod report;
mod rollup;
mod run;
mod scan;
mod slab;
mod slab_cache;
mod slab_event;
mod slab_groups;
mod summary;
mod timeline;
mod verify;
mod whois;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use cache_pins::{CachePin, pins};
pub use charges::{Accounting, ChargesView};
pub use doctor::{AbilityView, AnswerKind, DoctorView, KnownView, NodeVerdict, NodeView};
pub use event::{Detail, EventKind, EventView, hook_name, subject};
pub use explain::{ExplainRequest, ExplainView, Explained};
pub use explained::ExplainedMemcg;
pub use group::{Common, Tally};
pub use holder::{HolderView, ProcessView};
pub use largest_pin::{HeldBy, LargestPin, held_by, largest_pins};
pub use leaks::LeaksView;
pub use matrix::{MatrixCell, MatrixColumn};
pub use memcg::{ListedMemcg, MemcgView, TaskView, held_bytes_max, state_name};
pub use memcg_list::MemcgList;
pub use pin::{ActView, PartView, PinLine};
pub use pin_facts::{FoliosView, SocketView, SwapDeviceView, SwapFileView, SwapProcessView, SwapView};
pub use pin_groups::{ExplainBy, FileView, InCommon, PinGroup};
pub use pinned::{PinnedByView, PinnedView, pins_of};
pub use reap::{ReapView, ReapedFile};
pub use report::ReportView;
pub use rollup::{Rolled, rolled};
pub use run::Run;
pub use scan::{By, ScanGroup, ScanRequest, ScanView, ScanWalk, Scanned, Selection, Sort};
pub use slab::{SlabRequest, SlabSummary, SlabView};
pub use slab_cache::{CreatorView, SlabCacheView};
pub use slab_event::{SlabDelta, SlabEventKind, SlabEventView, SlabLoss};
pub use slab_groups::{SlabBy, SlabGroup};
pub use summary::{AllocFailure, Group, NamesMissingView, SummaryView};
pub use timeline::{Stretch, Timeline};
pub use verify::{Changed, Ground, VerdictView, VerifyView};
pub use whois::{PathSource, WhoisView};

use crate::record::{Clock, Start};

/// Facts about the machine for views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewpoint {
    pub clock: Clock,
    pub page_bytes: u64,
    /// Number of memcgs that were dying at the start and that no walk reported; `None`: not counted.
    pub dying_unseen: Option<u64>,
}

impl Viewpoint {
    /// As of the start.
    pub fn of(start: &Start) -> Self {
        Self { clock: start.clock, page_bytes: start.page_bytes, dying_unseen: start.dying_unseen }
    }
}

/// Something unknown, with the reason.
#[derive(Clone, Debug, Serialize)]
pub struct Unknown<'a> {
    pub what: &'a str,
    pub reason: &'a str,
}

/// Always nine digits, so that strings sort by time.
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
