//! The first witness: the ledger of a run, and the memcgs of each scenario in it.

use anyhow::Result;

use super::oracle::Dying;
use crate::{
    event::Key,
    record::{Backend, Start},
    session::{Book, Observer, Session, SlabObserver},
    source::{Feed, Polled},
    tracker::{Change, Found, Id, Memcg, State, What},
    verdict::LedgerCounts,
};

/// Follows the events. `F` may be a live stream or, in tests, something else.
pub struct Witness<F> {
    session: Session<F>,
    families: Families,
}

/// Counts created and freed memcgs as they happen, as the ledger removes freed ones.
#[derive(Default)]
struct Families(Vec<Follow>);

/// The memcgs below one cgroup.
struct Follow {
    parent_id: u64,
    /// Path of the parent with a trailing slash, once it came online.
    prefix: Option<Box<[u8]>>,
    created: u64,
    freed: u64,
}

impl<F: Feed> Witness<F> {
    /// `start` has the maximum grace time, so that no leaks are reported.
    pub fn new(feed: F, start: Start) -> Self {
        Self { session: Session::of(feed, start), families: Families::default() }
    }

    /// Counts the memcgs below a cgroup that was just created. Returns the number for lookups.
    pub fn follow(&mut self, parent_id: u64) -> usize {
        self.families.0.push(Follow { parent_id, prefix: None, created: 0, freed: 0 });
        self.families.0.len() - 1
    }

    /// Processes pending events.
    pub fn pump(&mut self) -> Result<Polled> {
        self.session.poll(&mut self.families)
    }

    /// The family with this number.
    pub fn family(&self, number: usize) -> LedgerCounts {
        let Some(follow) = self.families.0.get(number) else { return LedgerCounts::default() };
        let mut family =
            LedgerCounts { created: follow.created, freed: follow.freed, ..LedgerCounts::default() };
        let mut ids_held = 0;
        let book = self.session.book();
        for memcg in book.tracker().memcgs().filter(|memcg| follow.is_of(memcg)) {
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
        family.ids_held = (book.start().backend == Backend::Kprobe).then_some(ids_held);
        family
    }

    /// All dying memcgs, and the numbers of their families.
    pub fn dying(&self) -> Dying {
        let family = |memcg| self.families.0.iter().position(|follow| follow.is_of(memcg));
        let dying = self.session.book().tracker().dying();
        dying.map(|memcg| (memcg.key.css, family(memcg))).collect()
    }

    /// The dying memcgs of the family with this number, in the order of their births.
    pub fn dying_of(&self, number: usize) -> Vec<Key> {
        let Some(follow) = self.families.0.get(number) else { return Vec::new() };
        let dying = self.session.book().tracker().dying().filter(|memcg| follow.is_of(memcg));
        let mut keys: Vec<Key> = dying.map(|memcg| memcg.key).collect();
        keys.sort_unstable_by_key(|key| key.serial);
        keys
    }

    /// Detaches and accounts for every event. Returns the reasons why the ledger may be wrong.
    pub fn finish(mut self) -> Result<Vec<String>> {
        let ended = self.session.finish(&mut self.families)?;
        let (tracker, undecodable) = (ended.book.tracker(), ended.end.undecodable);
        if tracker.conclusive() && undecodable == 0 {
            return Ok(Vec::new());
        }
        let totals = tracker.totals();
        let losses = [
            (totals.lost_events, "events were lost"),
            (totals.missed_firings, "firings of hooks were missed"),
            (totals.unidentified, "events do not say what they are about"),
            (undecodable, "records cannot be decoded"),
        ];
        let losses = losses.into_iter().filter(|(count, _)| *count > 0);
        Ok(losses.map(|(count, what)| format!("{count} {what}")).collect())
    }
}

impl Observer for Families {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<()> {
        for change in changes {
            match &change.what {
                What::Online(key) => {
                    let Some(memcg) = book.tracker().get(key) else { continue };
                    self.0.iter_mut().for_each(|follow| follow.came(memcg));
                }
                What::Freed { memcg, .. } | What::Reconciled { memcg, found: Found::Freed } => {
                    let of = self.0.iter_mut().find(|follow| follow.is_of(memcg));
                    of.into_iter().for_each(|follow| follow.freed += 1);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl SlabObserver for Families {}

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
