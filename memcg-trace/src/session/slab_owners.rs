//! Owners of memcgs with their own slab caches (up to Linux 5.8): a walk tells which of them are dying, and most paths;
//! the kernel's list has their caches; the node knows the containers.

use std::{collections::HashSet, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    attribution::{Container, Question},
    event::Key,
    kernel::{Kernel, walk::Walk},
    record::CacheCopies,
    slab::{Ledger, Owners},
    source::{Caches, names::Node, take_walk},
    tracker::{Memcg, Tracker},
};

/// The sources needed.
pub struct OwnerWalk {
    walk: Walk,
    /// `None`: the caches of memcgs cannot be read.
    caches: Option<Caches>,
    node: Node,
}

impl OwnerWalk {
    /// Opens the sources, before privileges are dropped.
    pub fn open(btf: Option<&Path>) -> Result<Self> {
        let kernel = Kernel::probe(btf)?;
        let node = Node::open(Path::new("/")).context("cannot open /")?;
        Ok(Self { walk: kernel.load_walk()?, caches: Caches::open(&kernel)?, node })
    }

    /// The caches of dying memcgs; `None`: they cannot be read, or have just been.
    pub fn dead(&mut self) -> Result<Option<CacheCopies>> {
        let Some(caches) = &mut self.caches else { return Ok(None) };
        let snapshot = take_walk(&mut self.walk)?;
        let dying: Vec<Key> = snapshot.dying().filter_map(Key::of).collect();
        Ok(caches.read_if_rested(&dying).transpose()?)
    }

    /// Owners of the memcgs whose caches are in the ledger, as far as these memcgs still exist.
    pub fn owners(&mut self, ledger: &Ledger) -> Result<Owners> {
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
