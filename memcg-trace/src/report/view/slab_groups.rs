//! Groups of slab caches: by origin, or by owner of their memcgs.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::SlabCacheView;
use crate::{
    attribution::{ByOwner, Owner},
    event::Key,
    report::escape::Name,
    slab::{Cache, Ledger, Owners, State, stem},
};

/// `--by`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SlabBy {
    /// The call site that created them
    Creator,
    /// The module that created them, or else that of their constructor
    Module,
    /// The memcg whose copies they are (up to Linux 5.8)
    Memcg,
    /// Names that only differ in numbers
    Name,
    /// Workload of that memcg: Deployment, CronJob and so on by the pod's name; else container name, image, or unit
    Workload,
    /// Kubernetes namespace of that memcg
    Namespace,
    /// Image of that memcg's container
    Image,
    /// Runtime of that memcg's container
    Runtime,
    /// Systemd unit of that memcg, without numbers and ids
    Unit,
}

impl SlabBy {
    /// The level of the memcg's owner; `None`: not grouped by owner.
    pub fn owner(self) -> Option<ByOwner> {
        match self {
            Self::Creator | Self::Module | Self::Memcg | Self::Name => None,
            Self::Workload => Some(ByOwner::Workload),
            Self::Namespace => Some(ByOwner::Namespace),
            Self::Image => Some(ByOwner::Image),
            Self::Runtime => Some(ByOwner::Runtime),
            Self::Unit => Some(ByOwner::Unit),
        }
    }
}

/// A group of caches.
#[derive(Clone, Debug, Serialize)]
pub struct SlabGroup {
    /// The common property; null: unknown.
    pub of: Option<String>,
    pub caches: u64,
    /// Those created since the start.
    pub created: u64,
    pub leaked: u64,
    /// Null: not known for all.
    pub bytes: Option<u64>,
}

/// Largest group first; ties in the order of first sight.
pub(super) fn grouped(
    caches: &[&Cache],
    views: &[SlabCacheView<'_>],
    ledger: &Ledger,
    by: SlabBy,
    owners: &Owners,
) -> Vec<SlabGroup> {
    let mut place_of: HashMap<Option<String>, usize> = HashMap::new();
    let mut groups: Vec<SlabGroup> = Vec::new();
    for (cache, view) in caches.iter().zip(views) {
        let of = match by {
            SlabBy::Creator => {
                view.creator.as_ref().map(ToString::to_string).filter(|creator| creator != "?")
            }
            SlabBy::Module => view.module.map(|module| module.to_string()),
            SlabBy::Memcg => view.memcg.as_ref().map(|memcg| match memcg.serial {
                Some(serial) => format!("{} serial {serial}", memcg.css),
                None => memcg.css.clone(),
            }),
            SlabBy::Name => {
                let root = cache.root.and_then(|root| ledger.get(root));
                Some(Name(&stem(&root.unwrap_or(cache).name)).to_string())
            }
            SlabBy::Workload | SlabBy::Namespace | SlabBy::Image | SlabBy::Runtime | SlabBy::Unit => {
                by.owner().and_then(|by| owner(cache, by, owners))
            }
        };
        let place = *place_of.entry(of.clone()).or_insert_with(|| {
            groups.push(SlabGroup { of, caches: 0, created: 0, leaked: 0, bytes: Some(0) });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.caches += 1;
        group.created += u64::from(!view.before_start);
        group.leaked += u64::from(cache.state == State::Leaked);
        group.bytes = group.bytes.zip(view.bytes).map(|(sum, bytes)| sum + bytes);
    }
    groups.sort_by_key(|group| Reverse(group.caches));
    groups
}

/// Name of the owner of the cache's memcg; `None`: no memcg, or unknown.
fn owner(cache: &Cache, by: ByOwner, owners: &Owners) -> Option<String> {
    let (css, serial) = cache.memcg?;
    let (path, container) = owners.get(&Key { css, serial: serial.unwrap_or(0) })?;
    match by.owner(container.as_ref(), Some(path)) {
        Owner::Workload(workload) => workload.name,
        Owner::Namespace(name) | Owner::Image(name) | Owner::Unit(name) => name,
        Owner::Runtime(runtime) => runtime.map(|runtime| runtime.to_string()),
    }
}
