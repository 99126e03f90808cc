//! Owners of memcgs with their own slab caches (up to Linux 5.8): a walk tells which of them are dying, and most paths;
//! the kernel's list has their caches; the node knows the containers.

use std::{collections::HashSet, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    attribution::{Container, Question},
    event::Key,
    kernel::{Kernel, walk::Walk},
    record::CacheCopies,
    slab::{Owners, SlabLedger},
    source::{Caches, names::NameSources, take_walk},
    tracker::{Memcg, Tracker},
};

/// The sources needed.
pub struct OwnerWalk {
    walk: Walk,
    /// `None`: the caches of memcgs cannot be read.
    caches: Option<Caches>,
    node: NameSources,
}

/// What a look found.
#[derive(Default)]
pub struct DeadMemcgs {
    pub dying: Vec<Key>,
    /// When they were seen, ns.
    pub t_ns: u64,
    pub copies: Option<CacheCopies>,
}

impl OwnerWalk {
    /// Opens the sources, before privileges are dropped.
    pub fn open(btf: Option<&Path>) -> Result<Self> {
        let kernel = Kernel::probe(btf)?;
        let node = NameSources::open(Path::new("/")).context("cannot open /")?;
        Ok(Self { walk: kernel.load_walk()?, caches: Caches::open(&kernel)?, node })
    }

    /// The dying memcgs, and their caches: `None`, if they cannot be read or have just been, unless it is the `last` look.
    pub fn dead(&mut self, last: bool) -> Result<DeadMemcgs> {
        let Some(caches) = &mut self.caches else { return Ok(DeadMemcgs::default()) };
        let snapshot = take_walk(&mut self.walk)?;
        let dying: Vec<Key> = snapshot.dying().filter_map(Key::of).collect();
        let copies = match last && !dying.is_empty() {
            true => Some(caches.read(&dying)?),
            false => caches.read_if_rested(&dying).transpose()?,
        };
        Ok(DeadMemcgs { dying, t_ns: snapshot.ended_ns, copies })
    }

    /// Owners of the memcgs whose caches are in the ledger, as far as these memcgs still exist.
    pub fn owners(&mut self, ledger: &SlabLedger) -> Result<Owners> {
        let key = |(css, serial): (u64, Option<u64>)| Key { css, serial: serial.unwrap_or(0) };
        let wanted: HashSet<_> = ledger.caches().filter_map(|cache| cache.memcg.map(key)).collect();
        let snapshot = take_walk(&mut self.walk)?;
        let tracker = Tracker::of_walk(&snapshot);
        let memcgs = tracker.memcgs().filter(|memcg| wanted.contains(&memcg.key));
        let owner = |memcg: &Memcg| {
            let path = memcg.path.clone()?;
            let facts = Question::about(&path).map(|question| self.node.files(&question));
            let container = Container::of(&path, &facts.unwrap_or_default());
            Some((memcg.key, (path, container)))
        };
        Ok(memcgs.filter_map(owner).collect())
    }
}
