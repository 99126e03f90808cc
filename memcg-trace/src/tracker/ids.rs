//! How many memcg IDs are left, and for how long.

use super::Exhaustion;

/// The memcg IDs of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// IDs in use; `None`: how many there were at the start is not known. IDs that were held by memcgs already dying at
    /// the start are not in it.
    pub used: Option<u64>,
    /// IDs that exist.
    pub limit: u64,
    /// Of those used, IDs held by dying memcgs; `None`: the backend cannot see it.
    pub held_by_dying: Option<u64>,
    /// When all will be used, by the trend of the last five minutes; `None`: there is none, or it is not known.
    pub exhaustion: Option<Exhaustion>,
}
