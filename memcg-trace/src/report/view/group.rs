//! Groups of memcgs.

use std::{cmp::Reverse, hash::Hash};

use foldhash::HashMap;
use serde::{Serialize, Serializer};

use super::{MemcgView, state_name};
use crate::{
    attribution::{Container, Owner},
    cause::{PinTotal, Pinned, pin_totals},
    event::Key,
    report::escape::Name,
    tracker::{Memcg, State},
};

/// The common property of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Common<'a> {
    ParentPath(Option<Name<'a>>),
    /// Boxed: it is much larger than the others.
    Container(Option<Box<Container>>),
    PodUid(Option<String>),
    #[serde(serialize_with = "state")]
    State(State),
    #[serde(untagged)]
    Owner(Owner),
}

/// Totals of a group.
#[derive(Clone, Debug)]
pub struct Tally<K> {
    /// The common property; null: unknown.
    pub of: K,
    pub memcgs: u64,
    pub dying: u64,
    /// Those that hold their memcg ID; null: not known for all.
    pub ids_held: Option<u64>,
    /// Charges of descendants count only once; null: not known for all.
    pub charged_bytes: Option<u64>,
    /// The maximum age; null: not known for all, as of what was dying before the start.
    pub oldest_ns: Option<u64>,
    /// What pins them, most references first; empty: it is known of none.
    pub pins: Vec<PinTotal>,
}

/// What is counted of a memcg in a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupMember {
    dying: bool,
    id_held: Option<bool>,
    age_ns: Option<u64>,
    charged_bytes: Option<u64>,
}

impl GroupMember {
    pub(super) fn of(memcg: &MemcgView<'_>) -> Self {
        let MemcgView { state, id_held, age_ns, charged_bytes, .. } = *memcg;
        Self { dying: state == State::Dying, id_held, age_ns, charged_bytes }
    }
}

/// Groups memcgs by what each has in common with others. Largest group first; ties in the order of `memcgs`.
pub(super) fn tally<'a, K: Clone + Eq + Hash>(
    memcgs: impl Iterator<Item = (&'a Memcg, GroupMember, K)>,
) -> Vec<Tally<K>> {
    let mut place_of: HashMap<K, usize> = HashMap::default();
    let mut tallies: Vec<Tally<K>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::default();
    let mut placed = Vec::new();
    for (memcg, counted, of) in memcgs {
        let place = place_of.get(&of).copied().unwrap_or_else(|| {
            place_of.insert(of.clone(), tallies.len());
            tallies.push(Tally::of(of));
            tallies.len() - 1
        });
        places.insert(memcg.key, place);
        placed.push((memcg, counted, place));
    }
    let mut pinned: Vec<Vec<&Pinned>> = vec![Vec::new(); tallies.len()];
    for (memcg, counted, place) in placed {
        pinned[place].extend(memcg.pinned.as_deref());
        let in_parents_charge = memcg.parent.and_then(|parent| places.get(&parent)) == Some(&place);
        tallies[place].add(counted, in_parents_charge);
    }
    for (tally, pinned) in tallies.iter_mut().zip(pinned) {
        tally.pins = pin_totals(pinned);
    }
    tallies.sort_by_key(|tally| Reverse(tally.memcgs));
    tallies
}

impl<K> Tally<K> {
    fn of(of: K) -> Self {
        Self {
            of,
            memcgs: 0,
            dying: 0,
            ids_held: Some(0),
            charged_bytes: Some(0),
            oldest_ns: Some(0),
            pins: Vec::new(),
        }
    }

    fn add(&mut self, memcg: GroupMember, in_parents_charge: bool) {
        let GroupMember { dying, id_held, age_ns, charged_bytes } = memcg;
        self.memcgs += 1;
        self.dying += u64::from(dying);
        self.ids_held = self.ids_held.zip(id_held).map(|(sum, held)| sum + u64::from(held));
        self.oldest_ns = self.oldest_ns.zip(age_ns).map(|(oldest, age)| oldest.max(age));
        if !in_parents_charge {
            let sum = self.charged_bytes.zip(charged_bytes);
            self.charged_bytes = sum.map(|(sum, charged)| sum.saturating_add(charged));
        }
    }
}

/// The path above a path.
pub(super) fn parent(Name(path): Name<'_>) -> Name<'_> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) | None => Name(b"/"),
        Some(slash) => Name(&path[..slash]),
    }
}

fn state<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state_name(*state))
}
