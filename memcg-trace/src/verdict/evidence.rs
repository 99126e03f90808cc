//! Evidence: the observations about a scenario's memcgs.

use std::time::Duration;

use super::{PinsNamed, ScenarioName};

/// All evidence about one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub name: ScenarioName,
    /// Number of cgroups created.
    pub cgroups: u64,
    pub played: Played,
    /// Reasons why the ledger may be wrong: events lost or missed.
    pub loss: Vec<String>,
}

/// Outcome of playing the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// It cannot run here; the reason.
    Skipped(String),
    /// It could not be provoked; the reason.
    Failed(String),
    Done {
        /// Memcgs that were created and should have been freed.
        memcgs: u64,
        /// The pin until [`Moment::Unpinned`], if there was one that could be removed.
        pin: Option<&'static str>,
        /// In the order of [`Moment`]s; those for which no memcgs were left are missing.
        readings: Vec<Reading>,
        /// At [`Moment::Removed`]; `None`: no memcg was left, or it cannot be looked for here.
        pins: Option<PinsNamed>,
        sign: Option<Sign>,
    },
}

/// A sign of a leak that does not show in any memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Number of additional slab caches.
    SlabCaches(u64),
    /// The memcg ID of a removed cgroup cannot be reused; the error of mkdir.
    IdGone(String),
}

/// The step after which a reading was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The memcgs were removed, the pins are still there.
    Removed,
    /// Caches were written back and dropped, the pins are still there.
    Dropped,
    /// The pins were removed.
    Unpinned,
    /// Caches were written back and dropped again.
    DroppedAgain,
}

/// The state at the end of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub moment: Moment,
    /// How long it waited for the memcgs: less than the settle time if all were freed.
    pub waited: Duration,
    pub ledger: LedgerCounts,
    pub counted: Counted,
}

/// The memcgs of a scenario according to the ledger, that is by events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    pub created: u64,
    pub freed: u64,
    pub live: u64,
    /// The directory is gone, css_offline has not run yet.
    pub removed: u64,
    pub dying: u64,
    /// Number of those removed or dying that have no directory any more.
    pub without_directory: u64,
    /// Number of dying ones that hold their ID; `None`: this backend cannot see it.
    pub ids_held: Option<u64>,
    /// Number of dying ones that have seen css_free, where memcgs outlive it (3.10).
    pub css_freed: u64,
}

/// The same from other sources: the kernel's own counts, and a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Dying cgroups (v2).
    pub dying_cgroups: Option<u64>,
    /// Dying memcgs (v2, 6.12).
    pub dying_memcgs: Option<u64>,
    /// Dying cgroups of the whole machine (v1), including ours.
    pub dying_anywhere: Option<u64>,
    pub walk: Option<WalkCounts>,
}

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkCounts {
    pub live: u64,
    pub removed: u64,
    pub dying: u64,
    /// Number of dying ones that hold their ID.
    pub ids_held: Option<u64>,
    /// Pages charged to the dying ones, by their counters.
    pub charged_pages: Option<u64>,
    /// The most that the dying ones can hold by their references, bytes: since 7.1 their counters are stale.
    pub held_bytes_max: Option<u64>,
    /// Dying memcgs of the whole machine that are not in the ledger, where their owner is unknown.
    pub strangers: u64,
}

impl LedgerCounts {
    /// Number of memcgs that should have been freed.
    pub fn staying(&self) -> u64 {
        self.removed + self.dying
    }

    /// Whether all created memcgs were freed. False until one was created: its events may not have arrived yet.
    pub fn all_gone(&self) -> bool {
        self.created > 0 && self.live + self.staying() == 0
    }

    /// The first contradiction between ledger and counts; `None`: they agree.
    pub fn contradicted_by(&self, counted: &Counted) -> Option<String> {
        if let Some(walk) = &counted.walk {
            if walk.strangers > 0 {
                return Some(format!(
                    "a walk of the kernel finds {} dying memcgs that are not in the ledger",
                    walk.strangers
                ));
            }
            let (ledger, kernel) =
                ((self.live, self.removed, self.dying), (walk.live, walk.removed, walk.dying));
            if ledger != kernel {
                return Some(format!(
                    "the ledger has {} online, {} removed and {} dying, a walk of the kernel {}, {} and {}",
                    self.live, self.removed, self.dying, walk.live, walk.removed, walk.dying
                ));
            }
            if let (Some(ledger), Some(kernel)) = (self.ids_held, walk.ids_held)
                && ledger != kernel
            {
                return Some(format!("the ledger has {ledger} IDs held, a walk of the kernel {kernel}"));
            }
        }
        let differs = |what, ledger: u64, kernel: Option<u64>| {
            let kernel = kernel.filter(|kernel| *kernel != ledger)?;
            Some(format!("the ledger has {ledger} {what}, the kernel counts {kernel} (cgroup.stat)"))
        };
        differs("dying cgroups", self.without_directory, counted.dying_cgroups)
            .or_else(|| {
                // Since 7.1 (13e786b64bd3) counted from rmdir, before from css_offline.
                let counted = counted.dying_memcgs.filter(|counted| *counted != self.staying());
                differs("dying memcgs", self.dying, counted)
            })
            .or_else(|| {
                let anywhere =
                    counted.dying_anywhere.filter(|anywhere| *anywhere < self.without_directory)?;
                Some(format!(
                    "the ledger has {} dying cgroups, the whole machine only {anywhere} (/proc/cgroups)",
                    self.without_directory
                ))
            })
    }
}

impl Counted {
    /// Whether there is anything to compare the ledger with.
    pub fn is_something(&self) -> bool {
        self.walk.is_some() || self.dying_cgroups.is_some() || self.dying_memcgs.is_some()
    }
}
