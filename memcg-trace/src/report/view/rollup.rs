//! What was created and what of it stays, by owner.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::{Listed, MemcgView, Viewpoint, group::tally};
use crate::{
    attribution::{Container, Owner},
    report::escape::Name,
    session::Rollup,
    tracker::{Memcg, State, Tracker},
};

/// A group, from the start to now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rolled {
    /// What they have in common; null: not known.
    #[serde(flatten)]
    pub of: Owner,
    /// Since the start.
    pub created: u64,
    /// Of those created.
    pub survived: u64,
    /// `survived / created`; null: none was created.
    pub survival: Option<f64>,
    /// Dying now, also those that are older than the start.
    pub dying: u64,
    /// Of those dying, as the three that follow.
    pub ids_held: Option<u64>,
    /// A memcg below another one of the group is in that one's charge; null: not known of each.
    pub charged_bytes: Option<u64>,
    pub oldest_ns: Option<u64>,
}

/// The groups, most dying first.
pub fn rolled(
    rollup: &Rollup,
    tracker: &Tracker,
    now_ns: u64,
    viewpoint: &Viewpoint,
    container: impl Fn(&Memcg) -> Option<Container>,
) -> Vec<Rolled> {
    let mut groups: HashMap<Owner, Rolled> = HashMap::new();
    for (of, freed) in rollup.freed() {
        Rolled::of(&mut groups, of).created += freed;
    }
    let mut dying = Vec::new();
    for memcg in tracker.memcgs() {
        let container = container(memcg);
        let rolled = Rolled::of(&mut groups, &rollup.owner(memcg, container.as_ref()));
        let (was_created, is_dying) = (memcg.online_ns.is_some(), memcg.state == State::Dying);
        rolled.created += u64::from(was_created);
        rolled.survived += u64::from(was_created && is_dying);
        if is_dying {
            dying.push((memcg, Listed::new(MemcgView::new(memcg, now_ns, viewpoint), container)));
        }
    }
    let group = |listed: &Listed<'_>| {
        rollup.by().owner(listed.container.as_ref(), listed.memcg.path.map(|Name(path)| path))
    };
    for tally in tally(&dying, group) {
        let rolled = Rolled::of(&mut groups, &tally.of);
        rolled.dying = tally.memcgs;
        (rolled.ids_held, rolled.charged_bytes) = (tally.ids_held, tally.charged_bytes);
        rolled.oldest_ns = tally.oldest_ns;
    }
    let mut groups: Vec<Rolled> =
        groups.into_values().filter(|rolled| rolled.created + rolled.dying > 0).collect();
    for rolled in &mut groups {
        rolled.survival = (rolled.created > 0).then(|| rolled.survived as f64 / rolled.created as f64);
    }
    groups.sort_by_cached_key(|rolled| {
        (Reverse(rolled.dying), Reverse(rolled.created), format!("{:?}", rolled.of))
    });
    groups
}

impl Rolled {
    /// The group of this, empty if it is new.
    fn of<'g>(groups: &'g mut HashMap<Owner, Self>, of: &Owner) -> &'g mut Self {
        groups.entry(of.clone()).or_insert_with(|| Self {
            of: of.clone(),
            created: 0,
            survived: 0,
            survival: None,
            dying: 0,
            ids_held: Some(0),
            charged_bytes: Some(0),
            oldest_ns: None,
        })
    }
}
