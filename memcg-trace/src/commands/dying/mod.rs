//! Which dying memcgs a command is about: all, or those that its arguments mean.

mod target;

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

use anyhow::{Result, bail};

use self::target::Target;
use super::args::NamesArgs;
use crate::{
    attribution::{Container, Names},
    event::Key,
    kernel::cgroupfs::hierarchy::Controller,
    record::Snapshot,
    report::escape::Name,
    session::names_of_all,
    source::names::Resolver,
    tracker::{Memcg, State, Tracker},
    units::Count,
};

/// Where containers are named, the names have to be known.
#[derive(Clone, Debug, clap::Args)]
pub struct TargetArgs {
    /// Cgroup path (and what was below it), container or pod by name or id, memcg ID, serial number, or css address (0x…)
    #[arg(value_name = "PATH|CONTAINER|MEMCG ID|SERIAL")]
    pub targets: Vec<OsString>,

    #[command(flatten)]
    pub names: NamesArgs,
}

/// The memcgs of one walk.
pub struct WalkedMemcgs {
    pub tracker: Tracker,
    names: Names,
}

impl WalkedMemcgs {
    /// Waits for the names.
    pub fn new(walked: &Snapshot, resolver: Option<Resolver>) -> Self {
        let tracker = Tracker::of_walk(walked);
        let names = resolver.map(|resolver| names_of_all(&resolver, &tracker)).unwrap_or_default();
        Self { tracker, names }
    }

    pub fn container_of(&self, memcg: &Memcg) -> Option<Container> {
        self.names.container_of(&memcg.key, memcg.path.as_deref())
    }

    /// The dying memcgs that are meant; all, if there are no targets.
    pub fn dying(&self, targets: &[OsString], controller: &Controller) -> Result<Vec<Key>> {
        let dying: Vec<_> = self.tracker.dying().collect();
        if targets.is_empty() {
            return Ok(sorted(dying.iter().map(|memcg| memcg.key).collect()));
        }
        let mount = controller.mount.as_os_str().as_bytes();
        let mut keys = Vec::new();
        for query in targets {
            let target = Target::parse(query.as_bytes(), mount);
            let meant = |memcg: &&Memcg| target.means(memcg, self.container_of(memcg).as_ref());
            let found = keys.len();
            keys.extend(dying.iter().copied().filter(meant).map(|memcg| memcg.key));
            if keys.len() > found {
                continue;
            }
            let query = Name(query.as_bytes());
            let lives = self.tracker.memcgs().filter(|memcg| memcg.state != State::Dying);
            match lives.filter(meant).count() as u64 {
                0 => bail!(
                    "no dying memcg is {query}, be it path, container, pod, memcg ID, serial number or css address; \
                     memcg-trace scan lists those that are"
                ),
                lives => bail!(
                    "{query} is not dying ({} live); this is about what was removed, memcg-trace scan lists that",
                    Count(lives)
                ),
            }
        }
        Ok(sorted(keys))
    }
}

/// In the order of their births, each once.
fn sorted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_unstable_by_key(|key| (key.serial, key.css));
    keys.dedup();
    keys
}
