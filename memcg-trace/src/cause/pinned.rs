//! The short form of an explanation: by kind of pin. It is what the ledger keeps of a memcg, and what a recording carries.

use std::{borrow::Borrow, cmp::Reverse};

use serde::{Deserialize, Serialize};

use super::{
    explanation::{ExplainedPart, Explanation},
    facts::{Holder, How, Process},
    pin::Pin,
};

/// What pins one memcg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub refs: u64,
    /// Of these, references with a thing behind them.
    pub explained: u64,
    /// The count could be read, and is all explained.
    pub complete: bool,
    /// Most references first, what is unexplained last.
    pub by: Vec<PinnedBy>,
}

/// All things of one kind that pin one memcg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBy {
    pub pin: Pin,
    pub refs: u64,
    pub things: u64,
    /// What the largest of them is called.
    pub what: Option<Box<[u8]>>,
    /// Who could let go of it, the first of so many.
    pub holder: Option<Process>,
    pub holders: u64,
}

/// How much is pinned by things of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinTotal {
    pub pin: Pin,
    pub refs: u64,
    pub memcgs: u64,
}

impl Pinned {
    pub fn of(explanation: &Explanation) -> Self {
        let mut by: Vec<PinnedBy> = Vec::new();
        for part in &explanation.parts {
            match by.iter_mut().find(|by| by.pin == part.pin) {
                Some(by) => {
                    by.refs += part.refs;
                    by.things += 1;
                }
                // Parts come by size: the first one is the largest.
                None => by.push(PinnedBy::first(part)),
            }
        }
        by.sort_by_key(|by| (by.pin == Pin::Unexplained, Reverse(by.refs), by.pin));
        by.shrink_to_fit();
        Self {
            refs: explanation.refs,
            explained: explanation.explained,
            complete: explanation.is_complete(),
            by,
        }
    }
}

impl PinnedBy {
    fn first(part: &ExplainedPart) -> Self {
        let mut processes: Vec<Process> = part.holders.iter().filter_map(who).collect();
        processes.sort();
        processes.dedup();
        let holders = processes.len() as u64;
        Self {
            pin: part.pin,
            refs: part.refs,
            things: 1,
            what: part.what.clone(),
            holder: processes.into_iter().next(),
            holders,
        }
    }
}

/// Who could let go: of a task that nobody has waited for, its parent.
fn who(holder: &Holder) -> Option<Process> {
    match &holder.how {
        How::Unreaped { parent } => Some(parent.clone()),
        _ => holder.process.clone(),
    }
}

/// The kinds of pins of all these memcgs, most references first, what is unexplained last.
pub fn pin_totals(pinned: impl IntoIterator<Item = impl Borrow<Pinned>>) -> Vec<PinTotal> {
    let mut totals: Vec<PinTotal> = Vec::new();
    for pinned in pinned {
        for by in &pinned.borrow().by {
            match totals.iter_mut().find(|total| total.pin == by.pin) {
                Some(total) => {
                    total.refs += by.refs;
                    total.memcgs += 1;
                }
                None => totals.push(PinTotal { pin: by.pin, refs: by.refs, memcgs: 1 }),
            }
        }
    }
    totals.sort_by_key(|total| (total.pin == Pin::Unexplained, Reverse(total.refs), total.pin));
    totals
}
