//! Memcgs with something in common.

use std::{cmp::Reverse, collections::HashMap};

use serde::{Serialize, Serializer};

use super::{Listed, state_name};
use crate::{
    attribution::{Container, Runtime, Unit, Workload, unit_family, unit_of_path},
    report::escape::Name,
    tracker::{Key, Memcg, State},
};

/// What the memcgs of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Common<'a> {
    ParentPath(Option<Name<'a>>),
    /// Boxed: it is much larger than the others.
    Container(Option<Box<Container>>),
    PodUid(Option<String>),
    Workload(Workload),
    Namespace(Option<String>),
    Image(Option<String>),
    Runtime(Option<Runtime>),
    Unit(Option<String>),
    #[serde(serialize_with = "state")]
    State(State),
}

/// Whose a memcg is, on one level of looking at it: `--by` of whatever counts memcgs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ByOwner {
    /// Deployment, CronJob, StatefulSet and so on by the pod's name; else container name, image, or unit
    Workload,
    /// Of Kubernetes
    Namespace,
    Image,
    /// Who runs the container
    Runtime,
    /// Of systemd, those that are numbered together
    Unit,
}

impl ByOwner {
    /// The group that a memcg is in.
    pub fn group(self, container: Option<&Container>, path: Option<&[u8]>) -> Common<'static> {
        let unit = || path.and_then(unit_of_path);
        match self {
            Self::Workload => Common::Workload(Workload::of(container, unit().as_ref())),
            Self::Namespace => Common::Namespace(container.and_then(|container| container.namespace.clone())),
            Self::Image => Common::Image(container.and_then(|container| container.image.clone())),
            Self::Runtime => Common::Runtime(container.and_then(|container| container.runtime)),
            Self::Unit => {
                let name = |unit: Unit| unit.user_unit.or(unit.unit);
                Common::Unit(unit().and_then(name).map(|name| unit_family(&name)))
            }
        }
    }
}

/// What the memcgs of a group add up to.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    /// What they have in common; null: not known.
    pub of: Common<'a>,
    pub memcgs: u64,
    pub dying: u64,
    /// Those that hold their memcg ID; null: not known of each.
    pub ids_held: Option<u64>,
    /// A memcg below another one of the group is in that one's charge; null: not known of each.
    pub charged_bytes: Option<u64>,
    /// The oldest of those whose age is known.
    pub oldest_ns: Option<u64>,
}

/// The largest group first; among equals, the one that comes first in `listed`.
pub(super) fn tally<'a, 'c>(
    listed: &[(&'a Memcg, Listed<'a>)],
    common: impl Fn(&Listed<'a>) -> Common<'c>,
) -> Vec<Tally<'c>> {
    let mut place_of = HashMap::new();
    let mut tallies: Vec<Tally<'c>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for (memcg, listed) in listed {
        let of = common(listed);
        let place = *place_of.entry(of.clone()).or_insert_with(|| {
            tallies.push(Tally::of(of));
            tallies.len() - 1
        });
        places.insert(memcg.key, place);
    }
    for (memcg, listed) in listed {
        let place = places[&memcg.key];
        let in_parents_charge = memcg.parent.and_then(|parent| places.get(&parent)) == Some(&place);
        tallies[place].add(listed, in_parents_charge);
    }
    tallies.sort_by_key(|tally| Reverse(tally.memcgs));
    tallies
}

impl<'a> Tally<'a> {
    fn of(of: Common<'a>) -> Self {
        Self { of, memcgs: 0, dying: 0, ids_held: Some(0), charged_bytes: Some(0), oldest_ns: None }
    }

    fn add(&mut self, listed: &Listed<'_>, in_parents_charge: bool) {
        let memcg = &listed.memcg;
        self.memcgs += 1;
        self.dying += u64::from(memcg.state == State::Dying);
        self.ids_held = self.ids_held.zip(memcg.id_held).map(|(sum, held)| sum + u64::from(held));
        self.oldest_ns = self.oldest_ns.max(memcg.age_ns);
        if !in_parents_charge {
            let sum = self.charged_bytes.zip(memcg.charged_bytes);
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
