//! Live memcgs that are empty and nobody's purpose. They use up memcg IDs as zombies do, but rmdir helps.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
    time::SystemTime,
};

use crate::{
    event::Key,
    kernel::cgroupfs::hierarchy::Controller,
    record::Snapshot,
    tracker::{State, Tracker},
};

/// Systemd makes the cgroups of these units and no process ever lives in them. Scopes and services are not here: they
/// begin with a process and go with the last one, unless somebody forgets them.
const EMPTY_UNITS: &[&[u8]] =
    &[b".slice", b".mount", b".automount", b".socket", b".swap", b".path", b".timer"];

/// Empty memcgs.
pub struct Empty {
    /// For how long at least each of them exists, ns; `None`: not known.
    pub memcgs: HashMap<Key, Option<u64>>,
}

impl Empty {
    pub fn of(snapshot: &Snapshot, tracker: &Tracker) -> Self {
        let empty = snapshot.events.iter().filter(|event| event.is_empty()).filter_map(Key::of);
        let forgotten = |key: &Key| {
            tracker.get(key).is_some_and(|memcg| {
                let path = memcg.path.as_deref().unwrap_or_default();
                memcg.state == State::Online && !EMPTY_UNITS.iter().any(|unit| path.ends_with(unit))
            })
        };
        Self { memcgs: empty.filter(forgotten).map(|key| (key, None)).collect() }
    }

    /// By the times of their directories. kernfs keeps a time only as long as the inode is cached, so a directory may be
    /// older than it says; but whatever was created before another one is older than that one says.
    pub fn find_ages(&mut self, tracker: &Tracker, controller: &Controller) {
        let mut keys: Vec<Key> = self.memcgs.keys().copied().collect();
        keys.sort_unstable_by_key(|key| key.serial);
        let mut oldest_ns = None;
        for key in keys.into_iter().rev() {
            let directory = tracker.get(&key).and_then(|memcg| {
                let path = Path::new(OsStr::from_bytes(memcg.path.as_deref()?));
                let metadata = fs::metadata(controller.mount.join(path.strip_prefix("/").ok()?)).ok()?;
                (Some(metadata.ino()) == memcg.cgroup_id).then_some(metadata)
            });
            let mtime = directory.and_then(|directory| directory.modified().ok());
            let age = mtime.and_then(|mtime| SystemTime::now().duration_since(mtime).ok());
            oldest_ns = oldest_ns.max(age.and_then(|age| u64::try_from(age.as_nanos()).ok()));
            self.memcgs.insert(key, oldest_ns);
        }
    }
}
