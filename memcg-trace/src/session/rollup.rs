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
    freed: HashMap<Owner, u64>,
}

impl Rollup {
    pub fn new(by: ByOwner) -> Self {
        Self { by, only: None, freed: HashMap::default() }
    }

    /// The same for the memcgs whose paths match.
    pub fn only(self, cgroups: Option<CgroupGlob>) -> Self {
        Self { only: cgroups, ..self }
    }

    /// Counts a memcg that is removed from the ledger.
    pub fn forget(&mut self, memcg: &Memcg, container: Option<&Container>) {
        if memcg.online_ns.is_none() || !self.only.as_ref().is_none_or(|glob| glob.matches(memcg)) {
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
