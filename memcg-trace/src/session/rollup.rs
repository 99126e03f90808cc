//! Of the memcgs that the ledger has forgotten: how many there were, by owner.

use std::collections::HashMap;

use crate::{
    attribution::{ByOwner, Container, Owner},
    tracker::Memcg,
};

/// Owners that are told apart; those that come later count as unknown.
const OWNERS_MAX: usize = 10_000;

/// Keeps count of them.
#[derive(Clone, Debug)]
pub struct Rollup {
    by: ByOwner,
    freed: HashMap<Owner, u64>,
}

impl Rollup {
    pub fn new(by: ByOwner) -> Self {
        Self { by, freed: HashMap::new() }
    }

    /// The ledger forgets this memcg.
    pub fn forget(&mut self, memcg: &Memcg, container: Option<&Container>) {
        if memcg.online_ns.is_none() {
            return;
        }
        let owner = self.owner(memcg, container);
        let owner = match self.freed.len() < OWNERS_MAX || self.freed.contains_key(&owner) {
            true => owner,
            false => self.by.owner(None, None),
        };
        *self.freed.entry(owner).or_default() += 1;
    }

    /// The level that is counted by.
    pub fn by(&self) -> ByOwner {
        self.by
    }

    /// Who it is on that level.
    pub fn owner(&self, memcg: &Memcg, container: Option<&Container>) -> Owner {
        self.by.owner(container, memcg.path.as_deref())
    }

    /// Memcgs that were created since the start and freed.
    pub fn freed(&self) -> impl Iterator<Item = (&Owner, u64)> {
        self.freed.iter().map(|(owner, freed)| (owner, *freed))
    }
}
