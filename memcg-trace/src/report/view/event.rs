//! A live event.

use jiff::Timestamp;
use memcg_trace_common::Hook;
use serde::Serialize;

use super::{MemcgView, TaskView, Viewpoint, rfc3339};
use crate::{
    attribution::{Container, Unit, unit_of_path},
    record::{Outage, OutageReason},
    tracker::{AllocError, Change, Found, Memcg, State, Tracker, What},
};

/// Kinds of events; named as in the JSON output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum EventKind {
    /// A memcg can be used
    Online,
    /// Its directory was removed
    Removed,
    /// It is dying: offline, but not freed
    Offline,
    /// The last reference to it is gone
    Released,
    /// Its css was freed, but something else pins it (RHEL 7)
    CssFreed,
    /// It was freed
    Freed,
    /// It could not be created
    AllocFailed,
    /// It has been dying for longer than the grace time
    Leaked,
    /// It was freed after the grace time
    Late,
    /// Events were lost
    Lost,
    /// The kernel skipped a hook
    Missed,
    /// A walk of the kernel reconciled lost events
    Reconciled,
    /// Nothing was recorded for some time
    Outage,
}

impl EventKind {
    pub fn of(what: &What) -> Self {
        match what {
            What::Online(_) => Self::Online,
            What::Removed(_) => Self::Removed,
            What::Offline(_) => Self::Offline,
            What::Released(_) => Self::Released,
            What::CssFreed(_) => Self::CssFreed,
            What::Freed { late: false, .. } => Self::Freed,
            What::Freed { late: true, .. } => Self::Late,
            What::AllocFailed { .. } => Self::AllocFailed,
            What::Leaked(_) => Self::Leaked,
            What::Lost { .. } => Self::Lost,
            What::Missed { .. } => Self::Missed,
            What::Reconciled { .. } => Self::Reconciled,
            What::Outage(_) => Self::Outage,
        }
    }
}

/// The memcg of a change; for a failed allocation, its parent.
pub fn subject<'a>(change: &'a Change, tracker: &'a Tracker) -> Option<&'a Memcg> {
    match &change.what {
        What::Online(key)
        | What::Removed(key)
        | What::Offline(key)
        | What::Released(key)
        | What::CssFreed(key)
        | What::Leaked(key) => tracker.get(key),
        What::Freed { memcg, .. } | What::Reconciled { memcg, .. } => Some(memcg),
        What::AllocFailed { parent, .. } => parent.as_ref().and_then(|parent| tracker.get(parent)),
        What::Lost { .. } | What::Missed { .. } | What::Outage(_) => None,
    }
}

/// A live event.
#[derive(Clone, Debug, Serialize)]
pub struct EventView<'a> {
    pub event: EventKind,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`.
    pub t_ns: u64,
    /// Null for a failed allocation, for lost and for missed events, for an outage.
    pub memcg: Option<MemcgView<'a>>,
    /// The container of the memcg, or of its parent for a failed allocation.
    pub container: Option<&'a Container>,
    /// The systemd unit in its path.
    pub unit: Option<Unit>,
    /// The thread that ran the hook.
    pub task: Option<TaskView<'a>>,
    #[serde(flatten)]
    pub detail: Option<Detail<'a>>,
    /// Time the memcg spent in the state that this event ended; for released and leaked: dying until now.
    #[serde(skip)]
    pub elapsed_ns: Option<u64>,
}

/// Fields of specific events.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Detail<'a> {
    /// Of `freed` and `late`.
    Freed { dying_ns: Option<u64> },
    /// Of `alloc_failed`.
    AllocFailed {
        errno: u32,
        error: String,
        /// Whether all memcg IDs were in use; null: unknown.
        ids_exhausted: Option<bool>,
        #[serde(skip)]
        meaning: &'static str,
        parent: Option<Box<MemcgView<'a>>>,
    },
    /// Of `lost`.
    Lost { hook: &'static str, cpu: u32, events: u64 },
    /// Of `missed`.
    Missed { hook: &'static str, firings: u64 },
    /// Of `reconciled`: `added` (it exists, its creation was not seen) or `freed` (its release was not seen).
    Reconciled { found: &'static str },
    /// Of `outage`, which ended then; the reason: `stopped`, `cut_off`, `not_written`, `damaged` or `missing`.
    Outage {
        outage_ns: u64,
        reason: &'static str,
        #[serde(skip)]
        meaning: OutageReason,
    },
}

impl<'a> EventView<'a> {
    pub fn new(
        change: &'a Change,
        tracker: &'a Tracker,
        container: Option<&'a Container>,
        viewpoint: &Viewpoint,
    ) -> Self {
        let Change { t_ns, task, what } = change;
        let subject = subject(change, tracker);
        let memcg = subject.map(|memcg| MemcgView::new(memcg, *t_ns, viewpoint));
        let (memcg, detail) = match what {
            What::Freed { dying_ns, .. } => (
                memcg.map(|memcg| MemcgView { state: State::Freed, age_ns: None, leaked: false, ..memcg }),
                Some(Detail::Freed { dying_ns: *dying_ns }),
            ),
            What::AllocFailed { errno, .. } => {
                let error = AllocError::decode(*errno, &tracker.ids(), viewpoint.dying_unseen);
                let failure = Detail::AllocFailed {
                    errno: *errno,
                    error: error.name,
                    ids_exhausted: error.exhausted.known(),
                    meaning: error.meaning,
                    parent: memcg.map(Box::new),
                };
                (None, Some(failure))
            }
            What::Lost { hook, cpu, events } => {
                (None, Some(Detail::Lost { hook: hook_name(*hook), cpu: *cpu, events: *events }))
            }
            What::Missed { hook, firings } => {
                (None, Some(Detail::Missed { hook: hook_name(*hook), firings: *firings }))
            }
            What::Reconciled { found: Found::Added, .. } => {
                (memcg, Some(Detail::Reconciled { found: "added" }))
            }
            What::Reconciled { found: Found::Freed, .. } => (
                memcg.map(|memcg| MemcgView { state: State::Freed, age_ns: None, leaked: false, ..memcg }),
                Some(Detail::Reconciled { found: "freed" }),
            ),
            What::Outage(Outage { from_ns, to_ns, reason }) => {
                let (outage_ns, meaning) = (to_ns.saturating_sub(*from_ns), *reason);
                (None, Some(Detail::Outage { outage_ns, reason: reason.name(), meaning }))
            }
            // The tracepoint backend sees both at once: this is the first.
            What::Removed(_) => {
                (memcg.map(|memcg| MemcgView { state: State::Removed, age_ns: Some(0), ..memcg }), None)
            }
            What::Online(_) | What::Offline(_) | What::Released(_) | What::CssFreed(_) | What::Leaked(_) => {
                (memcg, None)
            }
        };
        Self {
            event: EventKind::of(what),
            time: viewpoint.clock.utc(*t_ns),
            t_ns: viewpoint.clock.boot_ns(*t_ns),
            memcg,
            container,
            unit: subject.and_then(|memcg| unit_of_path(memcg.path.as_deref()?)),
            task: task.as_ref().map(TaskView::new),
            detail,
            elapsed_ns: subject.and_then(|memcg| elapsed_ns(what, memcg, *t_ns)),
        }
    }
}

/// See [`EventView::elapsed_ns`].
fn elapsed_ns(what: &What, memcg: &Memcg, t_ns: u64) -> Option<u64> {
    let since_ns = match what {
        What::Removed(_) => memcg.online_ns,
        What::Offline(_) => memcg.removed_ns.or(memcg.online_ns),
        What::Released(_) | What::CssFreed(_) | What::Leaked(_) => memcg.dying_since_ns(),
        What::Freed { dying_ns, .. } => return *dying_ns,
        What::Online(_)
        | What::AllocFailed { .. }
        | What::Lost { .. }
        | What::Missed { .. }
        | What::Reconciled { .. }
        | What::Outage(_) => None,
    };
    Some(t_ns.saturating_sub(since_ns?))
}

/// The function or tracepoint of a hook.
pub fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::CssAllocEnter => "css_alloc_enter",
        Hook::CssAlloc => "css_alloc",
        Hook::CssOnline => "css_online",
        Hook::CssOfflineEnter => "css_offline_enter",
        Hook::CssOffline => "css_offline",
        Hook::CssReleased => "css_released",
        Hook::CssFree => "css_free",
        Hook::CgroupMkdir => "cgroup_mkdir",
        Hook::CgroupRmdir => "cgroup_rmdir",
        Hook::CgroupRelease => "cgroup_release",
        Hook::Walk => "walk",
        Hook::CssPut => "css_free",
        Hook::MemcgFree => "__mem_cgroup_free",
        Hook::MkdirEnter => "cgroup_mkdir_enter",
    }
}
