//! The same where memcgs outlive their csses and have a count of their own (3.10 of RHEL 7): `mem_cgroup.refcnt`, through /proc/kcore.
//!
//! What takes a reference there (mm/memcontrol.c): the css until css_free, which waits for whoever has a file or directory of the
//! removed cgroup open; each slab cache of the memcg's own (`memcg_register_cache`); accounting of its kernel memory, until the last page of it
//! is gone; each of its swap entries; each child whose counters are added to its own (`use_hierarchy`, `mem_cgroup_css_online`); and each TCP
//! socket, where these are limited (`sock_update_memcg`). Pages of files and processes take none: they move to the parent at rmdir.
//! Sockets are not looked for.

mod members;

use std::collections::{BTreeSet, HashMap};

use memcg_trace_common::CssFlag;

use self::members::{LENGTH, MemcgMembers, OwnPages, one};
use super::{AGAIN, PinsError};
use crate::{
    cause::{Look, Reference, Referenced, Thing, Unread},
    event::Key,
    kernel::{
        Kernel,
        memory::{MemoryError, kcore::Kcore},
        slab::memcg_caches::{CacheNames, MemcgCaches},
        walk::{IdTable, WalkError},
    },
};

/// The root memcg's ID.
const ROOT_ID: u16 = 1;

/// The way to them.
pub(super) struct ByMemcg {
    table: IdTable,
    kcore: Kcore,
    caches: Option<MemcgCaches>,
}

/// A memcg of the table of IDs.
#[derive(Clone, Debug)]
struct FoundMemcg {
    css: u64,
    id: u16,
    dying: bool,
    name: Option<Box<[u8]>>,
    /// `None`: they could not be read.
    members: Option<MemcgMembers>,
}

impl ByMemcg {
    pub fn open(kernel: &Kernel) -> Result<Self, PinsError> {
        let table = IdTable::open(&kernel.dentry).map_err(|error| PinsError::NoIds(error.to_string()))?;
        let kcore = Kcore::open().map_err(MemoryError::from)?;
        let caches = kernel.memcg_caches().unwrap_or_else(|error| {
            log::warn!("the slab caches of memcgs are unknown: {error}");
            None
        });
        Ok(Self { table, kcore, caches })
    }

    /// All in one pass; while counts move, again.
    pub fn look(&mut self, keys: &[Key]) -> Result<Look, PinsError> {
        let mut look = self.pass(keys)?;
        for _ in 0..AGAIN {
            if look.memcgs.iter().all(|memcg| memcg.before == memcg.after) {
                break;
            }
            look = self.pass(keys)?;
        }
        Ok(look)
    }

    fn pass(&mut self, keys: &[Key]) -> Result<Look, PinsError> {
        self.kcore.refresh().map_err(MemoryError::from)?;
        let mut unread = Vec::new();
        let mut names = CacheNames::new();
        let all = self.all()?;
        if let Some(caches) = &mut self.caches {
            match caches.read(all.iter().map(|memcg| memcg.css)) {
                Ok(read) => names = read,
                Err(error) => unread.push(Unread { what: "slab caches", why: error.to_string() }),
            }
        }
        let found = FoundMemcgs::new(&all, &names);
        if !found.proven {
            let why = "the members of memcgs are elsewhere in this build".to_owned();
            unread.push(Unread { what: "counts of references", why });
        }
        let mut memcgs = Vec::with_capacity(keys.len());
        let mut sockets = false;
        for key in keys {
            let Some(memcg) = found.by_css.get(&key.css) else {
                memcgs.push(Referenced {
                    key: *key,
                    before: Some(0),
                    after: Some(0),
                    references: Vec::new(),
                });
                continue;
            };
            let members = found.members(memcg);
            let after = members.and_then(|_| self.members(memcg.css));
            sockets |= members.is_some_and(|members| members.may_have_sockets());
            memcgs.push(Referenced {
                key: *key,
                before: members.map(|members| members.refs.into()),
                after: after.map(|members| members.refs.into()),
                references: found.references(memcg),
            });
        }
        if sockets {
            let why = "these have had a limit, and no list of this kernel has those of a memcg".to_owned();
            unread.push(Unread { what: "TCP sockets", why });
        }
        Ok(Look { memcgs, unread, ..Look::default() })
    }

    /// All memcgs that own an ID.
    fn all(&mut self) -> Result<Vec<FoundMemcg>, PinsError> {
        let broken = |error: WalkError| PinsError::NoIds(error.to_string());
        self.table.refresh().map_err(broken)?;
        let mut all = Vec::new();
        self.table
            .leaf(|walked| {
                let header = &walked.header;
                let members = self.members(header.css);
                let name = match walked.name {
                    [] => self.name(header.css),
                    name => Some(name.into()),
                };
                let dying = header.css_flags & CssFlag::DYING != 0;
                all.push(FoundMemcg { css: header.css, id: header.memcg_id as u16, dying, name, members });
            })
            .map_err(broken)?;
        Ok(all)
    }

    /// The name of a removed cgroup, which is there until css_free.
    fn name(&self, memcg: u64) -> Option<Box<[u8]>> {
        let has_css = || self.members(memcg).is_some_and(|members| members.has_css());
        has_css().then(|| self.table.name(memcg))?.filter(|_| has_css())
    }

    fn members(&self, memcg: u64) -> Option<MemcgMembers> {
        MemcgMembers::of(memcg, &self.kcore.read(memcg, LENGTH)?)
    }
}

/// What one pass found of all memcgs.
struct FoundMemcgs<'a> {
    by_css: HashMap<u64, &'a FoundMemcg>,
    children: HashMap<u64, Vec<&'a FoundMemcg>>,
    names: &'a CacheNames,
    /// The members are where they are read.
    proven: bool,
}

impl<'a> FoundMemcgs<'a> {
    fn new(all: &'a [FoundMemcg], names: &'a CacheNames) -> Self {
        let mut children: HashMap<u64, Vec<&FoundMemcg>> = HashMap::new();
        for memcg in all {
            if let Some(parent) = memcg.members.and_then(|members| members.parent()) {
                children.entry(parent).or_default().push(memcg);
            }
        }
        let by_css = all.iter().map(|memcg| (memcg.css, memcg)).collect();
        let is_root = |memcg: &FoundMemcg| {
            memcg.id == ROOT_ID && memcg.members.is_some_and(|members| members.prove_root())
        };
        Self { by_css, children, names, proven: all.iter().any(is_root) }
    }

    fn caches(&self, memcg: &FoundMemcg) -> impl ExactSizeIterator<Item = &'a Box<[u8]>> {
        static NONE: BTreeSet<Box<[u8]>> = BTreeSet::new();
        self.names.get(&memcg.css).unwrap_or(&NONE).iter()
    }

    /// `None`: this may be something else. A memcg may be freed, and its memory reused, while all are read.
    fn members(&self, memcg: &FoundMemcg) -> Option<MemcgMembers> {
        let caches = self.caches(memcg).len() as u64;
        memcg.members.filter(|members| self.proven && members.is_possible(caches))
    }

    fn references(&self, memcg: &FoundMemcg) -> Vec<Reference> {
        let caches = self.caches(memcg).map(|name| one(Thing::SlabCache { name: name.clone() }));
        let Some(members) = self.members(memcg) else { return caches.collect() };
        let children = self.children.get(&memcg.css).map_or(&[][..], Vec::as_slice);
        let pages = |memcg: &&FoundMemcg| self.members(memcg).map(|members| members.pages());
        let own = children.iter().filter_map(pages).fold(members.pages(), |own, child: OwnPages| own - child);
        let children = children.iter().map(|child| {
            let key = Key { css: child.css, serial: 0 };
            one(Thing::Child { key, name: child.name.clone(), dying: Some(child.dying) })
        });
        caches.chain(children).chain(members.references(memcg.id, own, memcg.name.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
