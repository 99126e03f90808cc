//! One slab cache, and who asked for it.

use crate::event::Task;

/// Identity of a cache in a ledger, in the order of first sight. Addresses are reused.
pub type Number = u64;

/// Where a cache is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Live,
    /// `kmem_cache_destroy` was called by the last one who held it; the release has not come yet.
    Destroying,
    /// Nobody will release it any more; why is in [`Cache::leak`].
    Leaked,
    Released,
}

/// Why a cache counts as leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leak {
    /// It was destroyed and is not released: "still has objects".
    NotReleased,
    /// The memcg whose copy it is went offline, and it is still there.
    MemcgDead,
    /// Every module that asked for it is gone, and none destroyed it.
    ModuleGone,
}

/// A place in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    pub function: Box<[u8]>,
    pub offset: u64,
    /// `None`: the kernel itself.
    pub module: Option<Box<[u8]>>,
}

/// Who asked for a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    pub task: Task,
    /// The function that called the allocator. `None`: not known; in an init function it never is, see `init`.
    pub caller: Option<Symbol>,
    /// The module whose init function ran. Its code is thrown away once it has run, and its symbols with it.
    pub init: Option<Box<[u8]>>,
}

impl Creator {
    /// `None`: not known; `Some(None)`: the kernel itself.
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

/// A name under which a cache was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: Box<[u8]>,
    pub creator: Creator,
    /// It was destroyed again.
    pub dropped: bool,
    /// The module that asked is gone, and did not destroy it.
    pub orphaned: bool,
}

/// A slab cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    pub number: Number,
    /// `None`: listed by the kernel, and no event has told yet.
    pub address: Option<u64>,
    /// Its directory in /sys/kernel/slab, where it was listed.
    pub dir: Option<Box<[u8]>>,
    /// Its own name; empty: not known.
    pub name: Box<[u8]>,
    /// Names that link to its directory. The kernel forgets to remove them: some may be of caches long gone.
    pub links: Vec<Box<[u8]>>,
    /// Who asked for it while the ledger was kept, in this order.
    pub asked: Vec<Asked>,
    /// Names that were dropped, and not known which.
    pub dropped_unnamed: u64,
    /// How often it is held. `None`: not known.
    pub refs: Option<i64>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// Objects in use, and all there is room for, when it was listed last.
    pub objects: Option<(u64, u64)>,
    /// The constructor of its objects.
    pub ctor: Option<Symbol>,
    /// `CLOCK_MONOTONIC`; `None`: before the ledger was begun, or unseen.
    pub created_ns: Option<u64>,
    /// css address and serial number of the memcg whose copy it is, and the cache that it is a copy of.
    pub memcg: Option<(u64, Option<u64>)>,
    pub root: Option<Number>,
    pub state: State,
    /// When the state began; `None`: not known.
    pub since_ns: Option<u64>,
    pub leak: Option<Leak>,
    pub destroyer: Option<Task>,
    /// When its memcg went offline.
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
            state: State::Live,
            since_ns: None,
            leak: None,
            destroyer: None,
            memcg_offline_ns: None,
        }
    }

    /// Whether it goes by this name.
    pub fn is_called(&self, name: &[u8]) -> bool {
        *self.name == *name || self.links.iter().any(|link| **link == *name)
    }

    /// Who made it; `None`: it was there before.
    pub fn creator(&self) -> Option<&Creator> {
        let first = self.asked.first().filter(|_| self.created_ns.is_some());
        first.map(|asked| &asked.creator)
    }

    /// Its module: the creator's, or else that of its objects' constructor. `None`: not known.
    pub fn module(&self) -> Option<Option<&[u8]>> {
        let by_ctor = || self.ctor.as_ref().map(|ctor| ctor.module.as_deref());
        self.creator().and_then(Creator::module).or_else(by_ctor)
    }

    /// The other names under which it is held.
    pub fn aliases(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().skip(usize::from(self.created_ns.is_some())).filter(|asked| !asked.dropped)
    }

    /// One of the names of `module` was dropped; `false`: there is none.
    pub(super) fn drop_name_of(&mut self, module: &[u8]) -> bool {
        let held = self.asked.iter_mut().find(|asked| !asked.dropped && asked.creator.is_of(module));
        held.map(|asked| asked.dropped = true).is_some()
    }

    /// `module` is gone; `true`: with it, everybody who had asked for this cache.
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
