//! Applies a walk of the kernel to the ledger.
//!
//! A walk sees every existing memcg, independent of the hooks. The first walk adds memcgs older than the start. Later
//! ones reconcile the ledger after a loss: memcgs they see are added, and memcgs they do not see are gone, unless an
//! event explains it within [`EXPLAINED_NS`].

use foldhash::{HashSet, HashSetExt as _};
use memcg_trace_common::CssFlag;

use super::{Change, Found, Id, Memcg, State, Tracker, What};
use crate::{
    event::{Event, Key},
    record::{Loss, Snapshot},
};

/// Longer than the time from the removal of a css from the walked table to its free: an RCU grace period and a kworker.
const EXPLAINED_NS: u64 = 1_000_000_000;

impl Loss {
    /// Records a loss that was detected at `t_ns`.
    pub fn happened(&mut self, t_ns: u64) {
        self.open_ns = self.open_ns.max(Some(t_ns));
    }

    pub fn has_walked(&self) -> bool {
        self.walked
    }

    pub fn is_open(&self) -> bool {
        self.open_ns.is_some()
    }
}

impl Tracker {
    /// Whether a walk could reconcile events lost or missed since the last one.
    pub fn wants_walk(&self) -> bool {
        self.loss.open_ns.is_some_and(|open_ns| open_ns >= self.loss.walked_ns)
    }

    /// Called when no more events will come after `now_ns`: memcgs that the latest walk did not see are gone.
    pub fn settle(&mut self, now_ns: u64, out: &mut Vec<Change>) {
        self.loss.explained_ns = self.loss.explained_ns.min(now_ns);
        self.reconcile(now_ns, out);
    }

    /// Applies a walk. All events up to its end must have been applied before.
    pub fn walked(&mut self, snapshot: &Snapshot, out: &mut Vec<Change>) {
        let mut seen = HashSet::with_capacity(snapshot.events.len());
        let first = self.first_serial.is_none();
        self.forecast.restart();
        for event in &snapshot.events {
            let Some(key) = Key::of(event) else { continue };
            seen.insert(key);
            self.found(&key, event, out);
        }
        if first {
            // Every memcg that exists now has been seen: those with higher serial numbers are new.
            self.first_serial = seen.iter().map(|key| key.serial.saturating_add(1)).max();
        }
        (self.loss.walked, self.loss.walked_ns) = (true, snapshot.began_ns);
        self.loss.explained_ns = snapshot.ended_ns.saturating_add(EXPLAINED_NS);
        self.loss.absent.clear();
        if self.loss.is_open() {
            let existed =
                |memcg: &&Memcg| memcg.online_ns.is_none_or(|online_ns| online_ns < snapshot.began_ns);
            let absent = self.ledger.memcgs().filter(existed).map(|memcg| memcg.key);
            self.loss.absent = absent.filter(|key| !seen.contains(key)).collect();
            // Sorted, as the same records must always result in the same changes.
            self.loss.absent.sort_unstable();
        }
    }

    /// Applies one existing memcg.
    fn found(&mut self, key: &Key, event: &Event, out: &mut Vec<Change>) {
        let flags = event.css_flags().unwrap_or(CssFlag::ONLINE);
        let state = match (flags & CssFlag::ONLINE != 0, flags & CssFlag::DYING != 0) {
            (true, false) => State::Online,
            (true, true) => State::Removed,
            (false, true) => State::Dying,
            // Being created: its css_online is still to come.
            (false, false) => return,
        };
        let new = self.ledger.get(key).is_none();
        if !self.known(key, event) {
            return;
        }
        let further = self.ledger.edit(key, |memcg| {
            memcg.learn(event);
            let further = memcg.reach(state);
            if memcg.state == State::Dying {
                memcg.id = Id::of(event);
                if further {
                    memcg.found_dying_ns = Some(event.t_ns());
                }
            }
            further
        });
        let Some(memcg) = self.ledger.get(key) else { return };
        let what = match (new, further) {
            (true, _) if !memcg.before_start => {
                let memcg = Box::new(memcg.clone());
                self.ledger.totals_mut().reconciled_added += 1;
                What::Reconciled { memcg, found: Found::Added }
            }
            // A disabled controller, on a backend that cannot see it.
            (false, Some(true)) if state == State::Dying => What::Offline(*key),
            (false, Some(true)) => What::Removed(*key),
            _ => return,
        };
        out.push(Change { t_ns: event.t_ns(), task: None, what });
    }

    /// Closes the losses before the latest walk, once the deadline for the memcgs it did not see is over.
    pub(super) fn reconcile(&mut self, now_ns: u64, out: &mut Vec<Change>) {
        if !self.loss.is_open() || self.wants_walk() || now_ns < self.loss.explained_ns {
            return;
        }
        self.loss.open_ns = None;
        self.forecast.restart();
        for key in std::mem::take(&mut self.loss.absent) {
            let Some(memcg) = self.ledger.remove(&key) else { continue };
            self.freed.remember(key, memcg.online_ns.is_none());
            self.ledger.totals_mut().reconciled_freed += 1;
            out.push(Change {
                t_ns: now_ns,
                task: None,
                what: What::Reconciled { memcg, found: Found::Freed },
            });
        }
    }
}
