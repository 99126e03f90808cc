//! A slab cache and its creators.

use std::fmt;

use serde::Serialize;

use crate::event::Task;

/// Identity of a cache in a ledger, in the order of first sight. Addresses are reused.
pub type Number = u64;

/// State of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SlabState {
    Live,
    /// `kmem_cache_destroy` dropped the last reference; not released yet.
    Destroying,
    /// It will not be released; [`Cache::leak`] has the reason.
    Leaked,
    Released,
}

impl fmt::Display for SlabState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The reason why a cache counts as leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leak {
    /// It was destroyed but not released: "still has objects".
    NotReleased,
    /// It still exists although its memcg is offline.
    MemcgDead,
    /// Every module that created it was unloaded without destroying it.
    ModuleGone,
}

/// A location in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    pub function: Box<[u8]>,
    pub offset: u64,
    /// `None`: the kernel itself.
    pub module: Option<Box<[u8]>>,
}

/// The creator of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    pub task: Task,
    /// The function that called the allocator. `None`: unknown, as always for init functions, see `init`.
    pub caller: Option<Symbol>,
    /// The module whose init function ran. Its init code is discarded afterwards, along with its symbols.
    pub init: Option<Box<[u8]>>,
}

impl Creator {
    /// `None`: unknown; `Some(None)`: the kernel itself.
    pub fn module(&self) -> Option<Option<&[u8]>> {
        match (&self.init, &self.caller) {
            (Some(init), _) => Some(Some(init)),
            (None, Some(caller)) => Some(caller.module.as_deref()),
            (None, None) => None,
        }
    }

    fn is_of(&self, module: &[u8]) -> bool {
        self.module() == Some(Some(module))
    }
}

/// A request for a cache under some name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedName {
    pub name: Box<[u8]>,
    pub creator: Creator,
    /// It was destroyed again.
    pub dropped: bool,
    /// The requesting module was unloaded without destroying it.
    pub orphaned: bool,
}

/// A slab cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    pub number: Number,
    /// `None`: in the kernel's list, but in no event yet.
    pub address: Option<u64>,
    /// Its directory in /sys/kernel/slab, if listed.
    pub dir: Option<Box<[u8]>>,
    /// Its own name; empty: unknown.
    pub name: Box<[u8]>,
    /// Names that link to its directory. Some may be stale, as the kernel does not remove them.
    pub links: Vec<Box<[u8]>>,
    /// Requests since the start, in order.
    pub asked: Vec<AskedName>,
    /// Number of dropped names of which it is unknown which ones.
    pub dropped_unnamed: u64,
    /// Reference count. `None`: unknown.
    pub refs: Option<i64>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// Objects in use, and allocated, at the last listing.
    pub objects: Option<(u64, u64)>,
    /// The constructor of its objects.
    pub ctor: Option<Symbol>,
    /// `CLOCK_MONOTONIC`, ns; `None`: before the start, or not seen.
    pub created_ns: Option<u64>,
    /// For a memcg's copy: the memcg's css address and serial number, and the root cache.
    pub memcg: Option<(u64, Option<u64>)>,
    pub root: Option<Number>,
    pub state: SlabState,
    /// Start of the state; `None`: unknown.
    pub since_ns: Option<u64>,
    pub leak: Option<Leak>,
    pub destroyer: Option<Task>,
    /// Time when its memcg went offline.
    pub memcg_offline_ns: Option<u64>,
}

impl Cache {
    pub(super) fn new(number: Number, name: &[u8]) -> Self {
        Self {
            number,
            address: None,
            dir: None,
            name: name.into(),
            links: Vec::new(),
            asked: Vec::new(),
            dropped_unnamed: 0,
            refs: None,
            object_size: None,
            size: None,
            objects: None,
            ctor: None,
            created_ns: None,
            memcg: None,
            root: None,
            state: SlabState::Live,
            since_ns: None,
            leak: None,
            destroyer: None,
            memcg_offline_ns: None,
        }
    }

    /// Whether it has this name.
    pub fn is_called(&self, name: &[u8]) -> bool {
        *self.name == *name || self.links.iter().any(|link| **link == *name)
    }

    /// Its creator; `None`: it existed before the start.
    pub fn creator(&self) -> Option<&Creator> {
        let first = self.asked.first().filter(|_| self.created_ns.is_some());
        first.map(|asked| &asked.creator)
    }

    /// Its module: the creator's, or else the constructor's. `None`: unknown.
    pub fn module(&self) -> Option<Option<&[u8]>> {
        let by_ctor = || self.ctor.as_ref().map(|ctor| ctor.module.as_deref());
        self.creator().and_then(Creator::module).or_else(by_ctor)
    }

    /// The names merged into it that were not dropped.
    pub fn aliases(&self) -> impl Iterator<Item = &AskedName> {
        self.asked.iter().skip(usize::from(self.created_ns.is_some())).filter(|asked| !asked.dropped)
    }

    /// Drops one of the names of `module`; `false`: there is none.
    pub(super) fn drop_name_of(&mut self, module: &[u8]) -> bool {
        let held = self.asked.iter_mut().find(|asked| !asked.dropped && asked.creator.is_of(module));
        held.map(|asked| asked.dropped = true).is_some()
    }

    /// `module` was unloaded; `true`: this cache now has no creator left.
    pub(super) fn orphan(&mut self, module: &[u8]) -> bool {
        let mut touched = false;
        for asked in self.asked.iter_mut().filter(|asked| !asked.dropped && asked.creator.is_of(module)) {
            asked.orphaned = true;
            touched = true;
        }
        let held = self.asked.iter().filter(|asked| !asked.dropped);
        let all = self.created_ns.is_some() && held.clone().all(|asked| asked.orphaned);
        touched && all && self.dropped_unnamed == 0
    }
}
