//! What was seen of a scenario's memcgs.

use std::time::Duration;

use super::ScenarioName;

/// Everything there is to judge one scenario by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub name: ScenarioName,
    /// How many cgroups were made.
    pub cgroups: u64,
    pub played: Played,
    /// Why the ledger may be wrong: what was lost or missed.
    pub loss: Vec<String>,
}

/// How far the scenario got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// It cannot run here, and why.
    Skipped(String),
    /// It could not do what it is about, and why.
    Failed(String),
    Done {
        /// Memcgs that came and should have gone.
        memcgs: u64,
        /// What pinned them until [`Moment::Unpinned`], if it could be taken away.
        pin: Option<&'static str>,
        /// In the order of [`Moment`]s; those for which nothing was left are missing.
        readings: Vec<Reading>,
        sign: Option<Sign>,
    },
}

/// What speaks for a leak and is seen in no memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// So many slab caches more than before.
    SlabCaches(u64),
    /// The memcg ID of a removed cgroup cannot be had again; why, as mkdir puts it.
    IdGone(String),
}

/// After what a reading was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The memcgs were taken away, what pins them is there.
    Removed,
    /// What can be written back and dropped was, what pins them is still there.
    Dropped,
    /// What pins them was taken away.
    Unpinned,
    /// What can be written back and dropped was once more.
    DroppedAgain,
}

/// What there was at the end of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub moment: Moment,
    /// For how long the memcgs were waited for: less than the settle time if all went.
    pub waited: Duration,
    pub ledger: LedgerCounts,
    pub counted: Counted,
}

/// The memcgs of a scenario, as the ledger knows them by the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    pub created: u64,
    pub freed: u64,
    pub live: u64,
    /// The directory is gone, css_offline has not run.
    pub removed: u64,
    pub dying: u64,
    /// Of those removed or dying, how many have no directory any more.
    pub without_directory: u64,
    /// Of the dying ones, how many hold their ID; `None`: this backend does not know.
    pub ids_held: Option<u64>,
    /// Of the dying ones, of how many css_free has come, where memcgs outlive it.
    pub css_freed: u64,
}

/// The same by other means: what the kernel counts, and what a walk of it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Dying cgroups (v2).
    pub dying_cgroups: Option<u64>,
    /// Dying memcgs (v2, 6.12).
    pub dying_memcgs: Option<u64>,
    /// Dying cgroups of the whole machine (v1): ours are among them.
    pub dying_anywhere: Option<u64>,
    pub walk: Option<WalkCounts>,
}

/// What a walk of the kernel finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkCounts {
    pub live: u64,
    pub removed: u64,
    pub dying: u64,
    /// Of the dying ones, how many hold their ID.
    pub ids_held: Option<u64>,
    /// Pages that the dying ones are charged for.
    pub charged_pages: Option<u64>,
    /// Dying memcgs of the whole machine that the ledger does not have, where nothing tells whose they are.
    pub strangers: u64,
}

impl LedgerCounts {
    /// Those that are still in the kernel and should not be.
    pub fn staying(&self) -> u64 {
        self.removed + self.dying
    }

    /// All that came went. Nothing is said as long as none came: the events may be under way.
    pub fn all_gone(&self) -> bool {
        self.created > 0 && self.live + self.staying() == 0
    }

    /// Where the other witness says otherwise; `None`: they agree.
    pub fn contradicted_by(&self, counted: &Counted) -> Option<String> {
        if let Some(walk) = &counted.walk {
            if walk.strangers > 0 {
                return Some(format!(
                    "a walk of the kernel finds {} dying that the ledger has not",
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
                // Counted from rmdir on since 7.1 (13e786b64bd3), from css_offline before.
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
    /// There is something to compare the ledger with.
    pub fn is_something(&self) -> bool {
        self.walk.is_some() || self.dying_cgroups.is_some() || self.dying_memcgs.is_some()
    }
}
