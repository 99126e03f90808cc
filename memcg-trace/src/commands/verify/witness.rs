//! The ledger of a run, and what it has of each scenario.

use anyhow::Result;

use super::oracle::Dying;
use crate::{
    record::{Backend, Record, Start},
    source::{Feed, Polled},
    tracker::{Change, Config, Found, Id, Memcg, State, Tracker, What},
    verdict::Family,
};

/// Follows the events. What comes from `F` need not be the kernel.
pub struct Witness<F> {
    feed: F,
    backend: Backend,
    tracker: Tracker,
    families: Vec<Follow>,
    /// Kept from call to call for their memory.
    records: Vec<Record>,
    changes: Vec<Change>,
}

/// The memcgs below one cgroup.
struct Follow {
    parent_id: u64,
    /// Path of the parent with a slash, once it was seen to come online.
    prefix: Option<Box<[u8]>>,
    created: u64,
    freed: u64,
}

impl<F: Feed> Witness<F> {
    pub fn new(feed: F, start: &Start) -> Self {
        let tracker = Tracker::new(Config {
            backend: start.backend,
            grace_ns: u64::MAX,
            live_at_start: start.live,
            paths: start.paths.clone(),
        });
        Self {
            feed,
            backend: start.backend,
            tracker,
            families: Vec::new(),
            records: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Counts the memcgs below a cgroup that was just made. Returns the number to ask for them by.
    pub fn follow(&mut self, parent_id: u64) -> usize {
        self.families.push(Follow { parent_id, prefix: None, created: 0, freed: 0 });
        self.families.len() - 1
    }

    /// Takes what happened.
    pub fn pump(&mut self) -> Result<Polled> {
        let polled = self.feed.poll(self.tracker.wants_walk(), &mut self.records)?;
        self.apply(polled.settled_ns);
        Ok(polled)
    }

    /// What the ledger has of a family.
    pub fn family(&self, number: usize) -> Family {
        let Some(follow) = self.families.get(number) else { return Family::default() };
        let mut family = Family { created: follow.created, freed: follow.freed, ..Family::default() };
        let mut ids_held = 0;
        for memcg in self.tracker.memcgs().filter(|memcg| follow.is_of(memcg)) {
            match memcg.state {
                State::Online => family.live += 1,
                State::Removed => family.removed += 1,
                State::Dying => family.dying += 1,
                State::Freed => {}
            }
            let gone = memcg.state != State::Online && memcg.removed_ns.is_some();
            family.without_directory += u64::from(gone);
            family.css_freed += u64::from(memcg.state == State::Dying && memcg.css_freed_ns.is_some());
            ids_held += u64::from(memcg.state == State::Dying && matches!(memcg.id, Id::Held { .. }));
        }
        family.ids_held = (self.backend == Backend::Kprobe).then_some(ids_held);
        family
    }

    /// All that are dying, and the numbers of their families.
    pub fn dying(&self) -> Dying {
        let dying = self.tracker.memcgs().filter(|memcg| memcg.state == State::Dying);
        let family = |memcg| self.families.iter().position(|follow| follow.is_of(memcg));
        dying.map(|memcg| (memcg.key.css, family(memcg))).collect()
    }

    /// Detaches and accounts for every event. Returns why the ledger may be wrong all the same.
    pub fn finish(&mut self) -> Result<Vec<String>> {
        let end_ns = self.feed.end(&mut self.records)?;
        self.apply(end_ns);
        if self.tracker.wants_walk() {
            self.feed.walk(&mut self.records);
            self.apply(end_ns);
        }
        self.tracker.settle(&mut self.changes);
        self.count();
        let totals = self.tracker.totals();
        let losses = [
            (totals.lost_events, "events were lost"),
            (totals.missed_firings, "firings of hooks were missed"),
            (totals.unidentified, "events do not say what they are about"),
            (self.feed.undecodable(), "records cannot be decoded"),
        ];
        let losses = losses.into_iter().filter(|(count, _)| *count > 0);
        let told = losses.map(|(count, what)| format!("{count} {what}"));
        let undecodable = self.feed.undecodable() > 0;
        Ok(if self.tracker.conclusive() && !undecodable { Vec::new() } else { told.collect() })
    }

    fn apply(&mut self, now_ns: u64) {
        let mut records = std::mem::take(&mut self.records);
        for record in records.drain(..) {
            self.tracker.apply(&record, &mut self.changes);
            self.count();
        }
        self.records = records;
        self.tracker.advance(now_ns, &mut self.changes);
        self.count();
    }

    /// Counts who came and who went. At once: the ledger forgets what was freed.
    fn count(&mut self) {
        for change in self.changes.drain(..) {
            match change.what {
                What::Online(key) => {
                    let Some(memcg) = self.tracker.get(&key) else { continue };
                    for follow in &mut self.families {
                        follow.came(memcg);
                    }
                }
                What::Freed { memcg, .. } | What::Reconciled { memcg, found: Found::Freed } => {
                    let of = self.families.iter_mut().find(|follow| follow.is_of(&memcg));
                    of.into_iter().for_each(|follow| follow.freed += 1);
                }
                _ => {}
            }
        }
    }
}

impl Follow {
    fn came(&mut self, memcg: &Memcg) {
        if memcg.cgroup_id == Some(self.parent_id)
            && let Some(path) = &memcg.path
        {
            self.prefix = Some([path, b"/".as_slice()].concat().into());
        }
        self.created += u64::from(self.is_of(memcg));
    }

    fn is_of(&self, memcg: &Memcg) -> bool {
        let path = memcg.path.as_deref().unwrap_or_default();
        self.prefix.as_deref().is_some_and(|prefix| path.starts_with(prefix))
    }
}
