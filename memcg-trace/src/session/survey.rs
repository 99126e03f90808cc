//! A walk and the kernel's own counts, repeated until they agree.

use std::{collections::HashSet, thread, time::Duration};

use memcg_trace_common::CssFlag;

use crate::{
    event::Key,
    kernel::{
        cgroupfs::{cgroup_stat::KernelCounts, hierarchy::Controller},
        walk::{Walk, WalkError},
    },
    record::{Snapshot, Version},
    source::take_walk,
};

/// Number of additional walks before a difference is reported.
const AGAIN: u64 = 3;
/// Pause between walks: a memcg that is being freed disappears from the table about 30 ms before it does from
/// /proc/cgroups.
const PAUSE: Duration = Duration::from_millis(50);

/// The last walk, and the result of the comparison.
pub struct Survey {
    pub snapshot: Snapshot,
    pub counted: KernelCounts,
    pub agrees: Option<bool>,
    pub walks: u64,
    /// Memcgs created or freed between the last two walks: the tolerance of the comparison.
    pub moved: u64,
    seen: Seen,
}

/// Counts of a walk, in the kernel's terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    all: u64,
    /// Memcgs with a directory.
    live: u64,
    /// Memcgs not offline yet, with or without a directory.
    online: u64,
    dying: u64,
}

impl Survey {
    pub fn take(walk: &mut Walk, controller: &Controller) -> Result<Self, WalkError> {
        let mut survey = Self::once(walk, controller)?;
        while survey.agrees == Some(false) && survey.walks <= AGAIN {
            thread::sleep(PAUSE);
            // Counting can take as long as the walk: these are the counts before the next one.
            let next = Self::look(walk, controller, survey.counted)?;
            survey = next.after(&survey, controller.version);
        }
        Ok(survey)
    }

    /// One walk, whether or not it agrees.
    pub fn once(walk: &mut Walk, controller: &Controller) -> Result<Self, WalkError> {
        let before = KernelCounts::now(controller);
        Self::look(walk, controller, before)
    }

    fn look(walk: &mut Walk, controller: &Controller, before: KernelCounts) -> Result<Self, WalkError> {
        let snapshot = take_walk(walk)?;
        let counted = KernelCounts::now(controller);
        let seen = Seen::of(&snapshot, walk.outlives_cgroups());
        let off = off(controller.version, &before, &counted, &seen);
        // A cgroup namespace only shows part of the hierarchy, and v2 only counts that part.
        let whole = controller.version == Version::V1 || shows_root(controller, &snapshot);
        let agrees = off.filter(|_| whole).map(|off| off == 0);
        Ok(Self { snapshot, counted, agrees, walks: 1, moved: 0, seen })
    }

    /// This survey, with `moved` from the difference to an earlier one.
    fn after(self, earlier: &Self, version: Version) -> Self {
        let keys = |survey: &Self| survey.snapshot.events.iter().filter_map(Key::of).collect::<HashSet<_>>();
        let moved = keys(&self).symmetric_difference(&keys(earlier)).count() as u64;
        let off = off(version, &earlier.counted, &self.counted, &self.seen);
        let agrees = self.agrees.map(|agrees| agrees || off.is_some_and(|off| off <= moved));
        Self { agrees, walks: earlier.walks + 1, moved, ..self }
    }
}

impl Seen {
    /// Where memcgs outlive their cgroups, the kernel only counts those that have one.
    fn of(snapshot: &Snapshot, outlive_cgroups: bool) -> Self {
        let mut seen = Self { all: snapshot.events.len() as u64, ..Self::default() };
        for event in &snapshot.events {
            let flags = event.css_flags().unwrap_or(CssFlag::ONLINE);
            let (online, dying) = (flags & CssFlag::ONLINE != 0, flags & CssFlag::DYING != 0);
            seen.online += u64::from(online);
            seen.live += u64::from(online && !dying);
            seen.dying += u64::from(!online && dying);
        }
        if outlive_cgroups {
            seen.all = seen.live;
        }
        seen
    }
}

/// Whether the mount point is the root of the hierarchy.
fn shows_root(controller: &Controller, snapshot: &Snapshot) -> bool {
    let root = snapshot.events.iter().find(|event| event.level() == Some(0));
    root.is_some_and(|root| root.cgroup_id() == controller.mounted_id())
}

/// Difference between a walk and the kernel's counts before and after it; `None`: there are no comparable counts.
fn off(version: Version, before: &KernelCounts, after: &KernelCounts, seen: &Seen) -> Option<u64> {
    let between = |of: fn(&KernelCounts) -> Option<u64>, seen: u64| {
        let (before, after) = (of(before)?, of(after)?);
        let (low, high) = (before.min(after), before.max(after));
        Some(seen.saturating_sub(high).max(low.saturating_sub(seen)))
    };
    match version {
        // Every cgroup has a memcg.
        Version::V1 => between(|counted| counted.cgroups, seen.all),
        Version::V2 => match between(|counted| counted.dying_memcgs, seen.dying) {
            Some(dying) => between(|counted| counted.live_memcgs, seen.online).map(|live| live + dying),
            // Counts directories instead.
            None => between(|counted| counted.live_memcgs, seen.live),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen { all: 12, live: 6, online: 7, dying: 5 };

    fn v2(live: u64, dying: Option<u64>) -> KernelCounts {
        KernelCounts {
            live_memcgs: Some(live),
            dying_memcgs: dying,
            cgroups: Some(99),
            ..KernelCounts::default()
        }
    }

    #[test]
    fn counts_before_and_after_bound_what_is_seen() {
        let v1 = |cgroups| KernelCounts { cgroups: Some(cgroups), ..KernelCounts::default() };
        let table = [(12, 12, 0), (10, 12, 0), (13, 11, 0), (14, 15, 2), (3, 9, 3)];
        for (before, after, expected) in table {
            assert_eq!(off(Version::V1, &v1(before), &v1(after), &SEEN), Some(expected));
        }
        assert_eq!(off(Version::V1, &KernelCounts::default(), &v1(12), &SEEN), None);
    }

    #[test]
    fn v2_compares_what_the_kernel_counts() {
        let off = |counted| off(Version::V2, &counted, &counted, &SEEN);
        assert_eq!(off(v2(7, Some(5))), Some(0));
        assert_eq!(off(v2(6, Some(7))), Some(3));
        assert_eq!(off(v2(6, None)), Some(0));
        assert_eq!(off(KernelCounts { cgroups: Some(12), ..KernelCounts::default() }), None);
    }
}
