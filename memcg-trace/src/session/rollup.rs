//! Counts freed memcgs by owner.

use foldhash::HashMap;

use super::CgroupGlob;
use crate::{
    attribution::{ByOwner, Container, Owner},
    tracker::Memcg,
};

/// Maximum number of owners; later ones are counted as unknown.
const OWNERS_MAX: usize = 10_000;

/// The counts.
#[derive(Clone, Debug)]
pub struct Rollup {
    by: ByOwner,
    /// Only these are counted.
    only: Option<CgroupGlob>,
    /// Those that came online before were not created in the time that is counted, `CLOCK_MONOTONIC`, ns.
    since_ns: u64,
    freed: HashMap<Owner, u64>,
}

impl Rollup {
    pub fn new(by: ByOwner) -> Self {
        Self { by, only: None, since_ns: 0, freed: HashMap::default() }
    }

    /// The same for the memcgs whose paths match.
    pub fn only(self, cgroups: Option<CgroupGlob>) -> Self {
        Self { only: cgroups, ..self }
    }

    /// Counts begin anew at `since_ns` (`CLOCK_MONOTONIC`).
    pub fn restart(&mut self, since_ns: u64) {
        self.since_ns = since_ns;
        self.freed.clear();
    }

    /// Whether it was created in the time that is counted.
    pub fn created(&self, memcg: &Memcg) -> bool {
        memcg.online_ns.is_some_and(|online_ns| online_ns >= self.since_ns)
    }

    /// Counts a memcg that is removed from the ledger.
    pub fn forget(&mut self, memcg: &Memcg, container: Option<&Container>) {
        if !self.created(memcg) || !self.only.as_ref().is_none_or(|glob| glob.matches(memcg)) {
            return;
        }
        let owner = self.owner(memcg, container);
        let owner = match self.freed.len() < OWNERS_MAX || self.freed.contains_key(&owner) {
            true => owner,
            false => self.by.owner(None, None),
        };
        *self.freed.entry(owner).or_default() += 1;
    }

    /// The level of the owners.
    pub fn by(&self) -> ByOwner {
        self.by
    }

    /// The owner of a memcg on that level.
    pub fn owner(&self, memcg: &Memcg, container: Option<&Container>) -> Owner {
        self.by.owner(container, memcg.path.as_deref())
    }

    /// Number of memcgs that were created since the start and freed.
    pub fn freed(&self) -> impl Iterator<Item = (&Owner, u64)> {
        self.freed.iter().map(|(owner, freed)| (owner, *freed))
    }
}
