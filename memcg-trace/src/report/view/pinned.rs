//! What pins one memcg, in short.

use serde::Serialize;

use super::ProcessView;
use crate::{
    cause::{Pin, PinTotal, Pinned, PinnedBy, pin_totals},
    report::escape::Name,
    tracker::Memcg,
};

/// As of when it was last looked at.
#[derive(Clone, Debug, Serialize)]
pub struct PinnedView<'a> {
    pub refs: u64,
    pub refs_explained: u64,
    /// Most references first.
    pub by: Vec<PinnedByView<'a>>,
}

/// All things of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct PinnedByView<'a> {
    pub pin: Pin,
    pub refs: u64,
    pub things: u64,
    /// Path, address or name of the largest; null: it has none.
    pub what: Option<Name<'a>>,
    pub what_escaped: bool,
    /// Who could let go of the largest, one of so many; null: nobody was found.
    pub holder: Option<ProcessView<'a>>,
    pub holders: u64,
}

/// What pins these memcgs, most references first; `None`: it is known of none.
pub fn pins_of<'a>(memcgs: impl Iterator<Item = &'a Memcg>) -> Option<Vec<PinTotal>> {
    let mut pinned = memcgs.filter_map(|memcg| memcg.pinned.as_deref()).peekable();
    pinned.peek()?;
    Some(pin_totals(pinned))
}

impl<'a> PinnedView<'a> {
    pub fn new(pinned: &'a Pinned) -> Self {
        let by = pinned.by.iter().map(PinnedByView::new).collect();
        Self { refs: pinned.refs, refs_explained: pinned.explained, by }
    }
}

impl<'a> PinnedByView<'a> {
    fn new(by: &'a PinnedBy) -> Self {
        let PinnedBy { pin, refs, things, what, holder, holders } = by;
        let what = what.as_deref().map(Name);
        Self {
            pin: *pin,
            refs: *refs,
            things: *things,
            what_escaped: what.as_ref().is_some_and(Name::is_escaped_in_json),
            what,
            holder: holder.as_ref().map(ProcessView::new),
            holders: *holders,
        }
    }
}
