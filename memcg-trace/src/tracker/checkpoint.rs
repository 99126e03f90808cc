//! What the ledger knows, taken out and put back in.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use super::{Change, Found, Memcg, State, Tracker, What, forecast::Forecast, recent::Recent};
use crate::{
    event::Key,
    record::{Checkpoint, Outage},
};

impl Tracker {
    /// What it knows as of `t_ns` (`CLOCK_MONOTONIC`), but for the memcgs and the counts.
    pub fn checkpoint(&self, t_ns: u64) -> Checkpoint {
        Checkpoint {
            t_ns,
            first_serial: self.first_serial,
            freed: self.freed.iter().map(|(key, _)| key).collect(),
            released: self.released.iter().map(|(cgroup_id, t_ns)| (cgroup_id, *t_ns)).collect(),
            ids_hidden: self.ids_hidden,
            ids_used: self.forecast.samples().collect(),
            loss: self.loss.clone(),
            ..Checkpoint::default()
        }
    }

    /// Takes over what was known at another time: of the same run, but not applied here. To a ledger that knows nothing,
    /// nothing of it is a change.
    pub fn resume(&mut self, checkpoint: &Checkpoint, out: &mut Vec<Change>) {
        let begins = self.ledger.is_untouched();
        let t_ns = checkpoint.t_ns;
        let known: HashSet<Key> = checkpoint.memcgs.iter().map(|(memcg, _)| memcg.key).collect();
        let mut gone: Vec<Key> = self.memcgs().map(|memcg| memcg.key).collect();
        gone.retain(|key| !known.contains(key));
        gone.sort_unstable();
        for key in gone {
            let Some(memcg) = self.ledger.remove(&key) else { continue };
            self.ledger.totals_mut().reconciled_freed += 1;
            tell(t_ns, What::Reconciled { memcg, found: Found::Freed }, out);
        }
        let alive = |memcg: &&Memcg| memcg.state != State::Freed;
        for memcg in checkpoint.memcgs.iter().map(|(memcg, _)| memcg).filter(alive) {
            match self.ledger.edit(&memcg.key, |before| replace(before, memcg)) {
                Some(Some(what)) => tell(t_ns, what, out),
                Some(None) => {}
                None if begins => self.ledger.adopt(memcg.clone()),
                None => {
                    let memcg = Memcg { leaked: false, ..memcg.clone() };
                    self.ledger.adopt(memcg.clone());
                    if !memcg.before_start {
                        self.ledger.totals_mut().reconciled_added += 1;
                        tell(t_ns, What::Reconciled { memcg: Box::new(memcg), found: Found::Added }, out);
                    }
                }
            }
        }
        self.first_serial = checkpoint.first_serial;
        // They are not counted here.
        self.freed = Recent::of(checkpoint.freed.iter().map(|key| (*key, false)));
        self.released = Recent::of(checkpoint.released.iter().copied());
        self.ids_hidden = checkpoint.ids_hidden;
        self.forecast = Forecast::of(&checkpoint.ids_used);
        self.loss = checkpoint.loss.clone();
    }

    /// Nothing was recorded for some time. What the next walk finds was not seen to happen; to what a checkpoint says,
    /// the loss is one of the time before it.
    pub fn interrupted(&mut self, outage: &Outage, out: &mut Vec<Change>) {
        self.loss.happened(outage.from_ns);
        let totals = self.ledger.totals_mut();
        totals.outages += 1;
        totals.outage_ns = totals.outage_ns.saturating_add(outage.to_ns.saturating_sub(outage.from_ns));
        tell(outage.to_ns, What::Outage(*outage), out);
    }

    /// Counts begin anew: what is known by now counts as adopted.
    pub fn recount(&mut self) {
        self.ledger.recount();
        self.freed.values_mut().for_each(|counted_as_adopted| *counted_as_adopted = false);
    }

    /// Paths of the cgroups at the start that are not gone.
    pub fn paths_at_start(&self) -> &HashMap<u64, Box<[u8]>> {
        self.paths.at_start()
    }

    /// Memcgs that were live at the start and that it knows nothing else of; `None`: not counted.
    pub fn live_at_start(&self) -> Option<u64> {
        self.live_at_start
    }
}

/// `before` becomes what it is in the checkpoint, with what is not known there. That it leaks is yet to be told. Returns a
/// step that this shows.
fn replace(before: &mut Memcg, memcg: &Memcg) -> Option<What> {
    let known = mem::replace(before, memcg.clone());
    before.state = before.state.max(known.state);
    before.before_start &= known.before_start;
    before.leaked = known.leaked;
    if before.path.is_none() {
        (before.path, before.path_truncated) = (known.path, known.path_truncated);
    }
    before.online_ns = before.online_ns.or(known.online_ns);
    before.removed_ns = before.removed_ns.or(known.removed_ns);
    before.offline_ns = before.offline_ns.or(known.offline_ns);
    before.creator = before.creator.or(known.creator);
    before.remover = before.remover.or(known.remover);
    match before.state {
        State::Removed if known.state < State::Removed => Some(What::Removed(before.key)),
        State::Dying if known.state < State::Dying => Some(What::Offline(before.key)),
        _ => None,
    }
}

fn tell(t_ns: u64, what: What, out: &mut Vec<Change>) {
    out.push(Change { t_ns, task: None, what });
}
