//! One memcg at one instant.

use serde::{Serialize, Serializer};

use super::{ChargesView, PinnedView, Viewpoint};
use crate::{
    attribution::{Container, Unit, unit_of_path},
    event::Task,
    report::escape::Name,
    tracker::{Id, Memcg, State},
};

/// A memcg at one instant.
#[derive(Clone, Debug, Serialize)]
pub struct MemcgView<'a> {
    /// Address, as `"0x…"`.
    #[serde(serialize_with = "address")]
    pub css: u64,
    pub serial: Option<u64>,
    /// The memcg ID; null once released.
    pub id: Option<u16>,
    pub id_held: Option<bool>,
    /// References to the ID: for a dying memcg, one per swapped-out page.
    pub id_refs: Option<u32>,
    pub cgroup_id: Option<u64>,
    pub level: Option<u32>,
    /// Path below the root of the hierarchy; unknown parts are `?`.
    pub path: Option<Name<'a>>,
    /// The path is not UTF-8: in the string, `\\` is a backslash and `\xNN` a byte.
    pub path_escaped: bool,
    /// A name in the path was longer than 255 bytes.
    pub path_truncated: bool,
    #[serde(serialize_with = "state")]
    pub state: State,
    /// Time in this state.
    pub age_ns: Option<u64>,
    /// Dying for longer than the grace time.
    pub leaked: bool,
    /// Known while dying, as of its last event.
    pub css_refs: Option<u64>,
    /// Its counter, including descendants, as of its last event. Since 7.1 pages are reparented when a memcg dies, and stay in
    /// this counter: see `held_bytes_max`.
    pub charged_bytes: Option<u64>,
    /// Known while dying: the most that it can still hold by its references, one for each folio of at most 2 MiB. Never more
    /// than it is charged.
    pub held_bytes_max: Option<u64>,
    /// Its own slab caches at the last read; absent: unknown, or memcgs do not have their own (since 5.9). A name that
    /// is not UTF-8 is escaped like a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slab_caches: Option<Vec<Name<'a>>>,
    /// Whether these slab caches pin it.
    #[serde(skip)]
    pub held_by_caches: bool,
    /// What pins it, by what refers to it; absent: nobody looked, or nobody could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<PinnedView<'a>>,
    /// By kind; only a scan reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charges: Option<ChargesView>,
    /// Minimum age; only known in a scan, for empty cgroups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_min_ns: Option<u64>,
    pub before_start: bool,
    /// It was dying then.
    #[serde(skip)]
    pub died_before_start: bool,
    /// Time since its css was freed; something else pins it. Only on kernels where memcgs outlive their csses (3.10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub css_freed_ns: Option<u64>,
    /// The threads that created and removed it.
    pub creator: Option<TaskView<'a>>,
    pub remover: Option<TaskView<'a>>,
}

/// A memcg with its container and unit.
#[derive(Clone, Debug, Serialize)]
pub struct ListedMemcg<'a> {
    pub memcg: MemcgView<'a>,
    pub container: Option<Container>,
    /// Null: the path does not start with a systemd unit.
    pub unit: Option<Unit>,
}

impl<'a> ListedMemcg<'a> {
    pub fn new(memcg: MemcgView<'a>, container: Option<Container>) -> Self {
        let unit = memcg.path.and_then(|Name(path)| unit_of_path(path));
        Self { memcg, container, unit }
    }
}

/// A thread.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TaskView<'a> {
    pub pid: u32,
    pub tgid: u32,
    /// Its name; escaped like a path if not UTF-8.
    pub comm: Name<'a>,
}

impl<'a> MemcgView<'a> {
    /// A memcg of the ledger as it is at `now_ns` (`CLOCK_MONOTONIC`).
    pub fn new(memcg: &'a Memcg, now_ns: u64, viewpoint: &Viewpoint) -> Self {
        let (id, id_held, id_refs) = match memcg.id {
            Id::Held { id, refs } => (Some(id), Some(true), refs),
            Id::Released => (None, Some(false), None),
            Id::Unknown => (None, None, None),
        };
        let since_ns = match memcg.state {
            State::Online => memcg.online_ns,
            State::Removed => memcg.removed_ns,
            State::Dying => memcg.dying_since_ns(),
            State::Freed => None,
        };
        let path = memcg.path.as_deref().map(Name);
        let caches = memcg.slab_caches.as_deref();
        Self {
            css: memcg.key.css,
            // 0 stands for a serial number that could not be read.
            serial: memcg.key.known_serial(),
            id,
            id_held,
            id_refs,
            cgroup_id: memcg.cgroup_id,
            level: memcg.level,
            path,
            path_escaped: path.is_some_and(|path| path.is_escaped_in_json()),
            path_truncated: memcg.path_truncated,
            state: memcg.state,
            age_ns: since_ns.map(|since_ns| now_ns.saturating_sub(since_ns)),
            leaked: memcg.leaked,
            css_refs: memcg.css_refs,
            charged_bytes: memcg.charged_pages.map(|pages| pages.saturating_mul(viewpoint.page_bytes)),
            held_bytes_max: Self::held_bytes_max(memcg, viewpoint.page_bytes),
            slab_caches: caches.map(|caches| caches.names.iter().map(|name| Name(name)).collect()),
            held_by_caches: caches.is_some_and(|caches| caches.hold),
            pinned: memcg.pinned.as_deref().map(PinnedView::new),
            charges: None,
            age_min_ns: None,
            before_start: memcg.before_start,
            died_before_start: memcg.died_before_start(),
            css_freed_ns: memcg.css_freed_ns.map(|freed_ns| now_ns.saturating_sub(freed_ns)),
            creator: memcg.creator.as_ref().map(TaskView::new),
            remover: memcg.remover.as_ref().map(TaskView::new),
        }
    }
}

/// Folios are no larger (`HPAGE_PMD_SIZE` with pages of 4 KiB).
const FOLIO_BYTES_MAX: u64 = 2 << 20;

/// The most that a dying memcg with these references and this counter can still hold, in bytes.
pub fn held_bytes_max(css_refs: u64, charged_pages: u64, page_bytes: u64) -> u64 {
    let charged = charged_pages.saturating_mul(page_bytes);
    charged.min(css_refs.saturating_mul(FOLIO_BYTES_MAX.max(page_bytes)))
}

impl MemcgView<'_> {
    /// See the field; `None`: not dying, or not known.
    pub fn held_bytes_max(memcg: &Memcg, page_bytes: u64) -> Option<u64> {
        let refs = memcg.css_refs.filter(|_| memcg.state == State::Dying)?;
        Some(held_bytes_max(refs, memcg.charged_pages?, page_bytes))
    }

    /// Its counter says more than it can hold.
    pub fn is_stale(&self) -> bool {
        self.held_bytes_max.zip(self.charged_bytes).is_some_and(|(held, charged)| held < charged)
    }
}

impl<'a> TaskView<'a> {
    pub fn new(task: &'a Task) -> Self {
        let end = task.comm.iter().position(|&byte| byte == 0).unwrap_or(task.comm.len());
        Self { pid: task.pid, tgid: task.tgid, comm: Name(&task.comm[..end]) }
    }
}

/// Name of a state in outputs.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Online => "online",
        State::Removed => "removed",
        State::Dying => "dying",
        State::Freed => "freed",
    }
}

fn address<S: Serializer>(css: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{css:#x}"))
}

fn state<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state_name(*state))
}
