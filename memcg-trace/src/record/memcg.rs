//! What is known of one memcg. The tracker keeps it; recordings that begin in the middle of a run have it, as JSON.

use serde::{Deserialize, Serialize};

use crate::{
    cause::Pinned,
    event::{Key, Task},
};

/// State of a memcg; in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// In use.
    Online,
    /// The directory is gone, `css_offline` has not run yet.
    Removed,
    /// Offline and not freed: a zombie. Where memcgs outlive their csses (3.10), its css may already be freed
    /// ([`Memcg::css_freed_ns`]).
    Dying,
    /// Freed. Freed memcgs are counted and removed from the ledger; only a change ever has this state.
    Freed,
}

/// State of the 16-bit memcg ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Id {
    /// The memcg owns this ID; `refs` references where known (for a dying one, one per swapped-out page).
    Held {
        id: u16,
        refs: Option<u32>,
    },
    Released,
    /// No hook has reported it.
    Unknown,
}

/// The slab caches of one memcg at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlabCopies {
    pub names: Vec<Box<[u8]>>,
    /// Whether these caches pin the memcg.
    pub hold: bool,
}

/// A memcg of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memcg {
    pub key: Key,
    pub cgroup_id: Option<u64>,
    pub parent: Option<Key>,
    pub level: Option<u32>,
    pub state: State,
    pub id: Id,
    /// Path below the root of the hierarchy, raw bytes; `None`: no name was seen. An unknown part is `?`. Stored outside
    /// the JSON, as these are bytes.
    #[serde(skip)]
    pub path: Option<Box<[u8]>>,
    pub path_truncated: bool,
    /// It existed before the tool started.
    pub before_start: bool,
    /// Time of each step, if seen (`CLOCK_MONOTONIC`, ns).
    pub online_ns: Option<u64>,
    pub removed_ns: Option<u64>,
    pub offline_ns: Option<u64>,
    /// Where memcgs outlive their csses (3.10): time when the css was freed. Something else pins the memcg, and its ID.
    pub css_freed_ns: Option<u64>,
    /// Time when a walk first found it dying, if no event had reported that: it has been dying at least since then.
    pub found_dying_ns: Option<u64>,
    /// The thread that created the memcg (at online), and the one that removed the directory.
    pub creator: Option<Task>,
    pub remover: Option<Task>,
    pub css_refs: Option<u64>,
    pub charged_pages: Option<u64>,
    /// Known for dying memcgs, if they have their own slab caches and these were read.
    pub slab_caches: Option<Box<SlabCopies>>,
    /// Its pins; known for dying memcgs whose references were looked at.
    pub pinned: Option<Box<Pinned>>,
    /// Dying for longer than the grace time, and reported.
    pub leaked: bool,
}

impl Memcg {
    /// Start of its dying, `CLOCK_MONOTONIC` ns: offline, or removal if offline was not seen.
    pub fn dying_since_ns(&self) -> Option<u64> {
        self.offline_ns.or(self.removed_ns)
    }

    /// Whether it was already dying when the tool started.
    pub fn died_before_start(&self) -> bool {
        self.state == State::Dying && self.before_start && self.dying_since_ns().is_none()
    }
}
