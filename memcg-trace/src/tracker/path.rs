//! Resolves the name of a directory to its path.

use std::collections::HashMap;

use super::{Ledger, Memcg};
use crate::event::{Event, parent_of};

/// Longest path that is kept (`PATH_MAX`); the part above is replaced by `?`.
const PATH_MAX: usize = 4096;

/// Paths of the cgroups that existed at the start, by cgroup id. Only shrinks.
#[derive(Debug, Default)]
pub(super) struct Paths {
    at_start: HashMap<u64, Box<[u8]>>,
}

/// A path, and whether it was truncated.
pub(super) type ResolvedPath = (Option<Box<[u8]>>, bool);

impl Paths {
    pub fn new(at_start: HashMap<u64, Box<[u8]>>) -> Self {
        Self { at_start }
    }

    /// Those that are not gone.
    pub fn at_start(&self) -> &HashMap<u64, Box<[u8]>> {
        &self.at_start
    }

    /// Removes a cgroup that is gone.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.at_start.remove(&cgroup_id);
    }

    /// Path of the directory named by an event. Its parent is looked up as a memcg, then as a cgroup, then among the
    /// cgroups at the start; if all fail, the directory itself is looked up there.
    pub fn resolve(&self, event: &Event, ledger: &Ledger) -> ResolvedPath {
        if event.level() == Some(0) {
            return (Some(b"/".as_slice().into()), false);
        }
        let itself = event.cgroup_id().and_then(|id| self.at_start.get(&id));
        let Some(name) = event.name() else { return (itself.cloned(), false) };
        if event.name_is_path() {
            return (Some(name.into()), event.name_truncated());
        }
        let parent = self.parent(event, ledger);
        if parent.is_none()
            && let Some(path) = itself
        {
            return (Some(path.clone()), false);
        }
        let (parent, mut truncated) = parent.unwrap_or((b"?", false));
        let parent = if parent.len() + 1 + name.len() <= PATH_MAX {
            parent
        } else {
            truncated = true;
            b"?"
        };
        (Some(join(parent, name)), truncated || event.name_truncated())
    }

    fn parent<'a>(&'a self, event: &Event, ledger: &'a Ledger) -> Option<(&'a [u8], bool)> {
        let of = |memcg: &'a Memcg| memcg.path.as_deref().map(|path| (path, memcg.path_truncated));
        let by_key = || parent_of(event).and_then(|key| ledger.get(&key)).and_then(of);
        let id = event.parent_cgroup_id();
        let by_cgroup =
            || id.and_then(|id| ledger.generations(id).filter_map(|key| ledger.get(&key)).find_map(of));
        let at_start = || id.and_then(|id| self.at_start.get(&id)).map(|path| (&**path, false));
        let root = || (event.level() == Some(1)).then_some((b"/".as_slice(), false));
        by_key().or_else(by_cgroup).or_else(at_start).or_else(root)
    }
}

fn join(parent: &[u8], name: &[u8]) -> Box<[u8]> {
    let parent = if parent == b"/" { b"" } else { parent };
    [parent, b"/", name].concat().into()
}
