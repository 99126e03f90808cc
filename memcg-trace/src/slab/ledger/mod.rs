//! The ledger of slab caches.

mod looks;
mod places;

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;
use memcg_trace_common::SlabHook;

use super::{
    AskedName, Cache, Creator, Growing, Growth, Leak, Number, SlabChange, SlabEvent, SlabRecord, SlabState,
    SlabStep, SlabTotals,
};
use crate::event::Key;

/// More names than one module drops.
const DROPPED: usize = 1024;

/// What the ledger knows before the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabConfig {
    /// Hooks feed it; otherwise listings alone do.
    pub hooked: bool,
    /// The hook that tells new caches from aliases is attached.
    pub tells_new: bool,
    /// The hook on releases is attached: a cache that is not released has leaked.
    pub tells_release: bool,
    /// How long a destroyed cache may stay before it counts as leaked, ns.
    pub grace_ns: u64,
}

/// All caches that exist, as far as is known.
#[derive(Clone, Debug)]
pub struct SlabLedger {
    config: SlabConfig,
    caches: BTreeMap<Number, Cache>,
    by_address: HashMap<u64, Number>,
    next: Number,
    totals: SlabTotals,
    growth: Growth,
    /// When the kernel's list was read last, ns.
    listed_ns: Option<u64>,
    /// Memcgs that are dying, and when they were first seen to be, ns.
    dying: HashMap<Key, u64>,
    /// Names that were dropped by a thread and not known which, until the thread frees their module. The last few.
    dropped: VecDeque<(u32, Number)>,
}

impl SlabLedger {
    pub fn new(config: SlabConfig) -> Self {
        Self {
            config,
            caches: BTreeMap::new(),
            by_address: HashMap::default(),
            next: 1,
            totals: SlabTotals::default(),
            growth: Growth::default(),
            listed_ns: None,
            dying: HashMap::default(),
            dropped: VecDeque::new(),
        }
    }

    /// Takes one record; what it changes is appended to `out`.
    pub fn apply(&mut self, record: &SlabRecord, out: &mut Vec<SlabChange>) {
        match record {
            SlabRecord::Event(event) => self.event(event, out),
            SlabRecord::Walk(listing) => self.listed(listing, out),
            &SlabRecord::Lost { t_ns, hook, cpu, events } => {
                self.totals.lost_events += events;
                out.push(SlabChange { t_ns, what: SlabStep::Lost { hook, cpu, events } });
            }
            &SlabRecord::Missed { t_ns, hook, firings } => {
                self.totals.missed_firings += firings;
                out.push(SlabChange { t_ns, what: SlabStep::Missed { hook, firings } });
            }
            SlabRecord::Learned(copies) => self.memcgs_dead(copies, out),
        }
    }

    /// Time is `now_ns` (`CLOCK_MONOTONIC`): what has been on its way for too long has leaked.
    pub fn advance(&mut self, now_ns: u64, out: &mut Vec<SlabChange>) {
        let grace_ns = self.config.grace_ns;
        let over = |since: Option<u64>| since.is_some_and(|ns| now_ns.saturating_sub(ns) >= grace_ns);
        let overdue = |cache: &Cache| match cache.state {
            SlabState::Destroying if self.config.tells_release && over(cache.since_ns) => {
                Some(Leak::NotReleased)
            }
            SlabState::Live if over(cache.memcg_offline_ns) => Some(Leak::MemcgDead),
            _ => None,
        };
        let overdue = |cache: &Cache| Some((cache.number, overdue(cache)?));
        let leaks: Vec<_> = self.caches.values().filter_map(overdue).collect();
        for (number, leak) in leaks {
            self.leak(number, leak, now_ns, out);
        }
    }

    /// Looks how families have grown.
    pub fn look(&mut self) {
        self.growth.look(self.caches.values());
    }

    /// Families that have grown steadily from look to look.
    pub fn growing(&self) -> Vec<Growing> {
        self.growth.steady()
    }

    /// All caches that exist, in the order of first sight.
    pub fn caches(&self) -> impl Iterator<Item = &Cache> {
        self.caches.values()
    }

    pub fn leaked(&self) -> impl Iterator<Item = &Cache> {
        self.caches().filter(|cache| cache.state == SlabState::Leaked)
    }

    pub fn get(&self, number: Number) -> Option<&Cache> {
        self.caches.get(&number)
    }

    pub fn totals(&self) -> &SlabTotals {
        &self.totals
    }

    pub fn config(&self) -> &SlabConfig {
        &self.config
    }

    /// Nothing was lost, missed or misread.
    pub fn conclusive(&self) -> bool {
        let SlabTotals { lost_events, missed_firings, misread, .. } = self.totals;
        (lost_events, missed_firings, misread) == (0, 0, 0)
    }

    fn event(&mut self, event: &SlabEvent, out: &mut Vec<SlabChange>) {
        match event.hook() {
            SlabHook::Create | SlabHook::MemcgCreate => self.create(event, out),
            SlabHook::Destroy => self.destroy(event, out),
            SlabHook::Release => self.release(event, out),
            SlabHook::MemcgOffline => self.memcg_offline(event),
            SlabHook::ModuleFree => self.module_gone(event, out),
            // These leave something for the return.
            SlabHook::CreateEnter
            | SlabHook::New
            | SlabHook::MemcgCreateEnter
            | SlabHook::ModuleInitEnter
            | SlabHook::ModuleInit => {}
        }
    }

    fn create(&mut self, event: &SlabEvent, out: &mut Vec<SlabChange>) {
        let t_ns = event.t_ns();
        let creator = Creator {
            task: event.task(),
            caller: event.caller.clone(),
            init: event.module().map(Into::into),
        };
        let name: Box<[u8]> = event.asked().or(event.name()).unwrap_or_default().into();
        let Some(address) = event.cache() else {
            self.totals.failed += 1;
            out.push(SlabChange { t_ns, what: SlabStep::Failed { name, creator } });
            return;
        };
        let asked = AskedName { name, creator, dropped: false, orphaned: false };
        if !event.is_new(self.config.tells_new) {
            let number = self.find(event, address).unwrap_or_else(|| self.adopt(event, address));
            self.learn(number, event);
            if let Some(cache) = self.caches.get_mut(&number) {
                cache.refs = event.refcount().map(i64::from).or(cache.refs.map(|refs| refs + 1));
                cache.asked.push(asked);
            }
            self.totals.aliased += 1;
            out.push(SlabChange { t_ns, what: SlabStep::Aliased(number) });
            return;
        }
        // A cache at the same address whose end went unseen.
        if let Some(number) = self.by_address.get(&address).copied() {
            self.end(number, t_ns, out);
        }
        // Made before the kernel's list was read: it may be there already, without address.
        let before = self.listed_ns.is_some_and(|listed_ns| t_ns <= listed_ns);
        let number = match before.then(|| self.find(event, address)).flatten() {
            Some(number) => {
                self.totals.adopted -= 1;
                number
            }
            None => self.add(Cache::new(self.next, &asked.name), Some(address)),
        };
        self.totals.created += 1;
        let misread = event.asked().zip(event.name()).is_some_and(|(asked, name)| asked != name);
        self.totals.misread += u64::from(misread);
        self.learn(number, event);
        let root = event.root().and_then(|root| self.by_address.get(&root).copied());
        if let Some(cache) = self.caches.get_mut(&number) {
            cache.created_ns = Some(t_ns);
            cache.since_ns = Some(t_ns);
            cache.refs = Some(1);
            cache.memcg = event.memcg();
            cache.root = root;
            cache.asked.insert(0, asked);
        }
        out.push(SlabChange { t_ns, what: SlabStep::Created(number) });
    }

    fn destroy(&mut self, event: &SlabEvent, out: &mut Vec<SlabChange>) {
        let t_ns = event.t_ns();
        let Some(number) = self.known(event) else { return };
        self.learn(number, event);
        let Some(cache) = self.caches.get_mut(&number) else { return };
        let refs = event.refcount().map(i64::from).or(cache.refs).unwrap_or(1);
        cache.refs = Some(refs - 1);
        if refs > 1 {
            cache.dropped_unnamed += 1;
            if self.dropped.len() == DROPPED {
                self.dropped.pop_front();
            }
            self.dropped.push_back((event.task().pid, number));
            self.totals.unaliased += 1;
            out.push(SlabChange { t_ns, what: SlabStep::Unaliased { number, task: Some(event.task()) } });
        } else if cache.state == SlabState::Live {
            cache.destroyer = Some(event.task());
            self.enter(number, SlabState::Destroying, t_ns);
            out.push(SlabChange { t_ns, what: SlabStep::Destroying(number) });
        }
    }

    fn release(&mut self, event: &SlabEvent, out: &mut Vec<SlabChange>) {
        if let Some(number) = self.known(event) {
            self.end(number, event.t_ns(), out);
        }
    }

    fn memcg_offline(&mut self, event: &SlabEvent) {
        let memcg = event.memcg();
        for cache in self.caches.values_mut().filter(|cache| cache.memcg.is_some() && cache.memcg == memcg) {
            cache.memcg_offline_ns.get_or_insert(event.t_ns());
        }
    }

    /// The module's exit function, which ran in the same thread, has dropped the names that were its own.
    fn module_gone(&mut self, event: &SlabEvent, out: &mut Vec<SlabChange>) {
        let (Some(module), pid) = (event.module(), event.task().pid) else { return };
        let caches = &mut self.caches;
        self.dropped.retain(|&(thread, number)| {
            let Some(cache) = caches.get_mut(&number) else { return false };
            if thread == pid && cache.drop_name_of(module) {
                cache.dropped_unnamed -= 1;
                return false;
            }
            true
        });
        let orphaned = self.caches.values_mut().filter(|cache| cache.state == SlabState::Live);
        let leaked: Vec<_> =
            orphaned.filter_map(|cache| cache.orphan(module).then_some(cache.number)).collect();
        for number in leaked {
            self.leak(number, Leak::ModuleGone, event.t_ns(), out);
        }
    }

    /// The cache that an event is about; one that was not seen before is adopted. `None`: it was gone before the kernel's
    /// list was read, and was never here.
    fn known(&mut self, event: &SlabEvent) -> Option<Number> {
        let address = event.cache()?;
        let old = self.listed_ns.is_some_and(|listed_ns| event.t_ns() <= listed_ns);
        self.find(event, address).or_else(|| (!old).then(|| self.adopt(event, address)))
    }

    /// The cache that an event is about, which from now on is known by its address.
    fn find(&mut self, event: &SlabEvent, address: u64) -> Option<Number> {
        if let Some(number) = self.by_address.get(&address) {
            return Some(*number);
        }
        let name = event.name()?;
        let unbound =
            || self.caches.values().filter(|cache| cache.address.is_none() && cache.created_ns.is_none());
        // Its own name first: a link may be a left-over of another cache.
        let own = unbound().find(|cache| *cache.name == *name);
        let number = own.or_else(|| unbound().find(|cache| cache.is_called(name)))?.number;
        self.bind(number, address);
        Some(number)
    }

    fn bind(&mut self, number: Number, address: u64) {
        self.by_address.insert(address, number);
        if let Some(cache) = self.caches.get_mut(&number) {
            cache.address = Some(address);
        }
    }

    /// A cache whose creation was not seen.
    fn adopt(&mut self, event: &SlabEvent, address: u64) -> Number {
        self.totals.adopted += 1;
        self.add(Cache::new(self.next, event.name().unwrap_or_default()), Some(address))
    }

    fn add(&mut self, cache: Cache, address: Option<u64>) -> Number {
        let number = cache.number;
        self.next += 1;
        self.totals.live += 1;
        self.caches.insert(number, cache);
        if let Some(address) = address {
            self.bind(number, address);
        }
        number
    }

    /// What every event tells of its cache.
    fn learn(&mut self, number: Number, event: &SlabEvent) {
        let Some(cache) = self.caches.get_mut(&number) else { return };
        cache.object_size = event.object_size().filter(|_| cache.object_size.is_none()).or(cache.object_size);
        cache.size = event.size().or(cache.size);
        if let Some(name) = event.name()
            && cache.name.is_empty()
        {
            cache.name = name.into();
        }
    }

    fn leak(&mut self, number: Number, leak: Leak, t_ns: u64, out: &mut Vec<SlabChange>) {
        let since_ns = self.caches.get(&number).and_then(|cache| match leak {
            Leak::NotReleased => cache.since_ns.filter(|_| cache.state == SlabState::Destroying),
            Leak::MemcgDead => cache.memcg_offline_ns,
            Leak::ModuleGone => cache.created_ns.map(|_| t_ns),
        });
        self.enter(number, SlabState::Leaked, t_ns);
        if let Some(cache) = self.caches.get_mut(&number) {
            cache.leak = Some(leak);
            cache.since_ns = since_ns;
        }
        out.push(SlabChange { t_ns, what: SlabStep::Leaked(number) });
    }

    fn end(&mut self, number: Number, t_ns: u64, out: &mut Vec<SlabChange>) {
        self.enter(number, SlabState::Released, t_ns);
        let Some(cache) = self.caches.remove(&number) else { return };
        if let Some(address) = cache.address {
            self.by_address.remove(&address);
        }
        let late = cache.leak.is_some();
        self.totals.late += u64::from(late);
        out.push(SlabChange { t_ns, what: SlabStep::Released { cache: Box::new(cache), late } });
    }

    fn enter(&mut self, number: Number, state: SlabState, t_ns: u64) {
        let Some(cache) = self.caches.get_mut(&number) else { return };
        *self.totals.gauge(cache.state) -= 1;
        *self.totals.gauge(state) += 1;
        cache.state = state;
        cache.since_ns = Some(t_ns);
    }
}
