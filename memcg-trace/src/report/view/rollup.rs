//! Created and surviving memcgs by owner.

use std::cmp::Reverse;

use foldhash::HashMap;
use serde::Serialize;

use super::{
    MemcgView, Run, Viewpoint,
    group::{GroupMember, tally},
};
use crate::{
    attribution::{Container, Owner},
    cause::PinTotal,
    session::Rollup,
    tracker::{Memcg, State, Tracker},
};

/// Counts of a group since the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rolled {
    /// The owner; null: unknown.
    #[serde(flatten)]
    pub of: Owner,
    /// Since the start.
    pub created: u64,
    /// Those of them that still exist.
    pub survived: u64,
    /// `survived / created`; null: none created.
    pub survival: Option<f64>,
    /// Dying now, including those older than the start.
    pub dying: u64,
    /// Of those dying, like the next three.
    pub ids_held: Option<u64>,
    /// Charges of descendants count only once; null: not known for all.
    pub charged_bytes: Option<u64>,
    /// Null: dying before the start, or none.
    pub oldest_ns: Option<u64>,
    /// What pins those dying, most references first; absent: it is known of none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinTotal>,
}

/// The groups, most dying memcgs first.
pub fn rolled(
    rollup: &Rollup,
    run: &Run,
    tracker: &Tracker,
    viewpoint: &Viewpoint,
    container: impl Fn(&Memcg) -> Option<Container>,
) -> Vec<Rolled> {
    let mut groups: HashMap<Owner, Rolled> = HashMap::default();
    for (of, freed) in rollup.freed() {
        Rolled::of(&mut groups, of).created += freed;
    }
    let mut dying = Vec::new();
    for memcg in tracker.memcgs().filter(|memcg| run.lists(memcg)) {
        let container = container(memcg);
        let owner = rollup.owner(memcg, container.as_ref());
        let rolled = Rolled::of(&mut groups, &owner);
        let (was_created, is_dying) = (rollup.created(memcg), memcg.state == State::Dying);
        rolled.created += u64::from(was_created);
        rolled.survived += u64::from(was_created && is_dying);
        if is_dying {
            dying.push((memcg, GroupMember::of(&MemcgView::new(memcg, run.ended_ns, viewpoint)), owner));
        }
    }
    for tally in tally(dying.into_iter()) {
        let rolled = Rolled::of(&mut groups, &tally.of);
        rolled.dying = tally.memcgs;
        (rolled.ids_held, rolled.charged_bytes) = (tally.ids_held, tally.charged_bytes);
        rolled.oldest_ns = tally.oldest_ns;
        rolled.pins = tally.pins;
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
    /// The group of this owner, empty if new.
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
            pins: Vec::new(),
        })
    }
}
