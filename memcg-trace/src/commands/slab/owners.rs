//! Whose memcgs have slab caches of their own, on kernels where they do (up to Linux 5.8): a walk knows each memcg's path,
//! also of one that is dying, and the node what container it was.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::{
    attribution::{Container, Question},
    kernel::{Kernel, walk::Walk},
    report::view::Owners,
    slab::Ledger,
    source::{Snapshot, names::Node},
    tracker::{Backend, Config, Memcg, Tracker},
};

/// What it takes to find out.
pub struct OwnerWalk {
    walk: Walk,
    node: Node,
}

impl OwnerWalk {
    /// Before privileges are dropped.
    pub fn open(btf: Option<&Path>) -> Result<Self> {
        let walk = Kernel::probe(btf)?.load_walk()?;
        Ok(Self { walk, node: Node::open(Path::new("/")).context("cannot open /")? })
    }

    /// Of the memcgs whose caches are in the ledger, as far as they are there now.
    pub fn owners(&mut self, ledger: &Ledger) -> Result<Owners> {
        let wanted: HashSet<_> = ledger.caches().filter_map(|cache| cache.memcg).collect();
        let snapshot = Snapshot::take(&mut self.walk)?;
        let mut tracker = Tracker::new(Config {
            backend: Backend::Kprobe,
            grace_ns: u64::MAX,
            live_at_start: None,
            paths: HashMap::new(),
        });
        tracker.walked(&snapshot, &mut Vec::new());
        let memcgs =
            tracker.memcgs().filter(|memcg| wanted.contains(&(memcg.key.css, Some(memcg.key.serial))));
        let owner = |memcg: &Memcg| {
            let path = memcg.path.clone()?;
            let facts = Question::about(&path).map(|question| self.node.files(&question));
            let container = Container::of(&path, &facts.unwrap_or_default());
            Some(((memcg.key.css, memcg.key.serial), (path, container)))
        };
        Ok(memcgs.filter_map(owner).collect())
    }
}
