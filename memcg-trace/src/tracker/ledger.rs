//! The ledger's memcgs that are known and not freed, and the counts derived from them.
//!
//! Invariant: all changes of a memcg go through [`Ledger::insert`], [`Ledger::edit`] or [`Ledger::remove`], which
//! update the counts and indices; these cannot disagree with the memcgs.

use std::collections::BTreeSet;

use foldhash::HashMap;

use super::{
    Id, Memcg, State, Totals,
    dying_charge::{Charged, DyingCharge},
};
use crate::event::Key;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Boxed: a table of 250-byte entries would waste half its memory after each doubling.
    memcgs: HashMap<Key, Box<Memcg>>,
    /// (cgroup id, serial, css): the generations of a cgroup are neighbours, oldest first.
    cgroups: BTreeSet<(u64, u64, u64)>,
    /// (dying since, memcg): dying, not yet reported as leaked. Entries are removed with the memcg, so it is bounded.
    waiting: BTreeSet<(u64, Key)>,
    /// IDs that dying memcgs hold.
    held_by_dying: u64,
    charge: DyingCharge,
    totals: Totals,
}

/// The facts about a memcg that are counted or indexed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    key: Key,
    cgroup_id: Option<u64>,
    state: State,
    leaked: bool,
    holds_id: bool,
    waiting_since_ns: Option<u64>,
    /// Of a dying one.
    charged: Option<Charged>,
}

impl Ledger {
    pub fn get(&self, key: &Key) -> Option<&Memcg> {
        self.memcgs.get(key).map(|memcg| &**memcg)
    }

    pub fn memcgs(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs.values().map(|memcg| &**memcg)
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether nothing was ever counted.
    pub fn is_untouched(&self) -> bool {
        self.totals == Totals::default()
    }

    /// For the counts that are not derived from memcgs.
    pub fn totals_mut(&mut self) -> &mut Totals {
        &mut self.totals
    }

    pub fn held_by_dying(&self) -> u64 {
        self.held_by_dying
    }

    /// What the dying memcgs are charged for, in pages, each counted once; `None`: not known for all.
    pub fn charged_to_dying(&self) -> Option<u64> {
        self.charge.pages()
    }

    /// The memcgs of this cgroup, oldest first.
    pub fn generations(&self, cgroup_id: u64) -> impl Iterator<Item = Key> {
        self.cgroups
            .range((cgroup_id, 0, 0)..=(cgroup_id, u64::MAX, u64::MAX))
            .map(|&(_, serial, css)| Key { css, serial })
    }

    /// The dying memcgs not yet reported, with the time (ns) since when they are dying, longest first.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, Key)> {
        self.waiting.iter().copied()
    }

    /// The first of [`Ledger::waiting`].
    pub fn longest_waiting(&self) -> Option<(u64, Key)> {
        self.waiting().next()
    }

    /// Adds a new memcg: counted as created if its creation was seen, otherwise as adopted.
    pub fn insert(&mut self, memcg: Memcg) {
        match memcg.online_ns {
            Some(_) => self.totals.created += 1,
            None => self.totals.adopted += 1,
        }
        self.add(memcg);
    }

    /// Adds a memcg that is known otherwise than by its events.
    pub fn adopt(&mut self, memcg: Memcg) {
        self.totals.adopted += 1;
        self.add(memcg);
    }

    fn add(&mut self, memcg: Memcg) {
        self.restate(None, Some(Standing::of(&memcg)));
        self.memcgs.insert(memcg.key, Box::new(memcg));
    }

    /// Counts begin anew, with all that are known as adopted.
    pub fn recount(&mut self) {
        let Totals { live, removed, dying, leaked, .. } = self.totals;
        let adopted = self.memcgs.len() as u64;
        self.totals = Totals { adopted, live, removed, dying, leaked, ..Totals::default() };
    }

    /// Recounts a memcg that was counted as adopted but was created after the start.
    pub fn recount_as_created(&mut self) {
        self.totals.adopted -= 1;
        self.totals.created += 1;
    }

    /// Changes a memcg; `None` if it is not known.
    pub fn edit<T>(&mut self, key: &Key, change: impl FnOnce(&mut Memcg) -> T) -> Option<T> {
        let memcg = self.memcgs.get_mut(key)?;
        let before = Standing::of(memcg);
        let result = change(memcg);
        let after = Standing::of(memcg);
        if before != after {
            self.restate(Some(before), Some(after));
        }
        Some(result)
    }

    /// Removes a memcg that was freed.
    pub fn remove(&mut self, key: &Key) -> Option<Box<Memcg>> {
        let mut memcg = self.memcgs.remove(key)?;
        self.restate(Some(Standing::of(&memcg)), None);
        self.totals.freed += 1;
        memcg.state = State::Freed;
        Some(memcg)
    }

    fn restate(&mut self, before: Option<Standing>, after: Option<Standing>) {
        if let Some(before) = before {
            *self.totals.gauge(before.state) -= 1;
            self.totals.leaked -= u64::from(before.leaked);
            self.held_by_dying -= u64::from(before.holds_id);
        }
        if let Some(after) = after {
            *self.totals.gauge(after.state) += 1;
            self.totals.leaked += u64::from(after.leaked);
            self.held_by_dying += u64::from(after.holds_id);
        }
        let (was, is) = (before.and_then(|s| s.charged), after.and_then(|s| s.charged));
        if was != is {
            let memcgs = &self.memcgs;
            let is_dying = |key: &Key| memcgs.get(key).is_some_and(|memcg| memcg.state == State::Dying);
            was.into_iter().for_each(|charged| self.charge.remove(charged, is_dying));
            is.into_iter().for_each(|charged| self.charge.add(charged, is_dying));
        }
        reindex(&mut self.cgroups, before.and_then(|s| s.generation()), after.and_then(|s| s.generation()));
        reindex(&mut self.waiting, before.and_then(|s| s.wait()), after.and_then(|s| s.wait()));
    }
}

fn reindex<T: Ord>(index: &mut BTreeSet<T>, before: Option<T>, after: Option<T>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        index.remove(&before);
    }
    index.extend(after);
}

impl Standing {
    fn of(memcg: &Memcg) -> Self {
        let dying = memcg.state == State::Dying;
        Self {
            key: memcg.key,
            cgroup_id: memcg.cgroup_id,
            state: memcg.state,
            leaked: memcg.leaked,
            holds_id: dying && matches!(memcg.id, Id::Held { .. }),
            waiting_since_ns: memcg.grace_since_ns().filter(|_| dying && !memcg.leaked),
            charged: dying.then_some(Charged {
                key: memcg.key,
                // A damaged event may say anything.
                parent: memcg.parent.filter(|parent| *parent != memcg.key),
                pages: memcg.charged_pages,
            }),
        }
    }

    fn generation(&self) -> Option<(u64, u64, u64)> {
        self.cgroup_id.map(|cgroup_id| (cgroup_id, self.key.serial, self.key.css))
    }

    fn wait(&self) -> Option<(u64, Key)> {
        self.waiting_since_ns.map(|since_ns| (since_ns, self.key))
    }
}
