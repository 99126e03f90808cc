//! Live memcgs that are empty, but not by design. They use up memcg IDs like zombies, but rmdir helps.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    event::Key,
    kernel::cgroupfs::hierarchy::Controller,
    record::Snapshot,
    tracker::{State, Tracker},
};

/// Units whose cgroups systemd creates without ever running a process in them. Scopes and services are not listed: they
/// start with a process and are removed with the last one, unless forgotten.
const EMPTY_UNITS: &[&[u8]] =
    &[b".slice", b".mount", b".automount", b".socket", b".swap", b".path", b".timer"];

/// Times of inodes are those of the last tick of the clock: 10 ms at CONFIG_HZ=100.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// Empty memcgs.
pub struct Empty {
    /// The minimum age of each, ns; `None`: unknown.
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

    /// Determines ages from the mtimes of directories. kernfs keeps an mtime only while the inode is cached, so a
    /// directory may be older; but it is at least as old as any directory created after it. An inode that is created by
    /// this very lookup has the time of the lookup, which says nothing.
    pub fn find_ages(&mut self, tracker: &Tracker, controller: &Controller) {
        let looked = SystemTime::now() - CLOCK_TICK;
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
            let mtime = mtime.filter(|&mtime| mtime < looked);
            let age = mtime.and_then(|mtime| SystemTime::now().duration_since(mtime).ok());
            oldest_ns = oldest_ns.max(age.and_then(|age| u64::try_from(age.as_nanos()).ok()));
            self.memcgs.insert(key, oldest_ns);
        }
    }
}
