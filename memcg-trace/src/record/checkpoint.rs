//! What is known in the middle of a run: a recording that begins with it goes on as the run did.

use serde::{Deserialize, Serialize};

use super::Memcg;
use crate::{
    attribution::{Facts, NamesMissing},
    event::Key,
};

/// The ledger and the names at one instant, but for counts, which begin anew. What does not change is in the [`Start`] of
/// the recording, as are the paths of cgroups and the number of live memcgs that the ledger does not have.
///
/// [`Start`]: super::Start
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// `CLOCK_MONOTONIC`, ns.
    pub t_ns: u64,
    /// All that are not freed, and what the node told of each; sorted. Stored outside the JSON of the rest, one by one.
    #[serde(skip)]
    pub memcgs: Vec<(Memcg, Vec<Facts>)>,
    /// Pods of which no memcg is left that the node told of: the pod's own may be.
    pub pods: Vec<Facts>,
    pub names_missing: Option<NamesMissing>,
    /// Lowest serial number whose creation was seen.
    pub first_serial: Option<u64>,
    /// The memcgs that were freed last, and the cgroups that were released last, with the time (ns); oldest first.
    pub freed: Vec<Key>,
    pub released: Vec<(u64, u64)>,
    /// The hook could not read the ID at the return of `css_offline`.
    pub ids_hidden: bool,
    /// (time, memcg IDs in use) of the last minutes.
    pub ids_used: Vec<(u64, u64)>,
    pub loss: Loss,
}

/// Losses that no walk has reconciled so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Time (ns) of the latest loss that no walk has reconciled.
    pub open_ns: Option<u64>,
    /// Memcgs that the latest walk did not see, and the deadline (ns) for an event to explain it.
    pub absent: Vec<Key>,
    pub explained_ns: u64,
    /// Start (ns) of that walk.
    pub walked_ns: u64,
    pub walked: bool,
}
