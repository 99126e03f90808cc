//! The view of `scan`.

use std::{cmp::Reverse, collections::HashMap};

use foldhash::HashMap as FastMap;
use jiff::Timestamp;
use memcg_trace_common::Charges;
use serde::Serialize;

use super::{
    Accounting, CachePin, ChargesView, Common, ListedMemcg, MemcgList, MemcgView, NamesMissingView, Tally,
    Unknown, Viewpoint,
    group::{GroupMember, parent, tally},
    pins, pins_of, rfc3339,
};
use crate::{
    attribution::{ByOwner, Container, NamesMissing},
    cause::PinTotal,
    event::{ID_LIMIT, Key},
    kernel::cgroupfs::cgroup_stat::KernelCounts,
    record::{Snapshot, Version, WalkMeans},
    report::escape::Name,
    tracker::{Id, Memcg, Tracker},
};

/// Selection of memcgs to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Dying,
    All,
    /// Live, with no processes and no children.
    Empty,
}

/// `--sort`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Oldest first
    Age,
    /// Most memory first
    Charged,
    /// Most references first
    Refs,
    /// By memcg ID; those that released theirs last
    Id,
    Path,
}

/// `--by`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Container,
    Pod,
    /// The parent cgroup
    Parent,
    State,
    /// Deployment, CronJob, StatefulSet and so on by the pod's name; else container name, image, or unit
    Workload,
    /// Kubernetes namespace
    Namespace,
    Image,
    /// Container runtime
    Runtime,
    /// Systemd unit, without numbers and ids
    Unit,
}

/// The request.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest {
    pub selection: Selection,
    pub by: Option<By>,
    pub sort: Sort,
    /// Maximum length of the list.
    pub top: Option<usize>,
}

/// Results of a scan besides the ledger.
#[derive(Clone, Debug)]
pub struct Scanned {
    pub backend: WalkMeans,
    pub walked: ScanWalk,
    pub accounting: Accounting,
    /// The kernel's own counts, as of the end of the walk.
    pub counted: KernelCounts,
    /// Whether they agree with the walk; `None`: no comparable counts.
    pub agrees: Option<bool>,
    pub walks: u64,
    /// Memcgs created or freed between the last two walks.
    pub moved: u64,
    /// Live memcgs that are empty, but not by design, with their minimum age, ns.
    pub empty: HashMap<Key, Option<u64>>,
    pub names_missing: Option<NamesMissing>,
    /// What is unknown, and the reason.
    pub unknown: Vec<(String, String)>,
}

/// What is left of a snapshot once the ledger has its events.
#[derive(Clone, Debug)]
pub struct ScanWalk {
    /// `CLOCK_MONOTONIC`, ns.
    pub began_ns: u64,
    pub ended_ns: u64,
    pub memcgs: u64,
    /// Each is owned by one memcg.
    pub ids_used: Option<u64>,
    pub charges: FastMap<Key, Charges>,
}

impl From<Snapshot> for ScanWalk {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { began_ns, ended_ns, events, charges } = snapshot;
        let ids_used =
            events.iter().try_fold(0, |used, event| Some(used + u64::from(event.memcg_id()? != 0)));
        Self { began_ns, ended_ns, memcgs: events.len() as u64, ids_used, charges }
    }
}

/// Serializes as the last line of the JSON output.
#[derive(Debug, Serialize)]
pub struct ScanView<'a> {
    /// `walk`, or `kcore` where programs are not run on demand.
    pub backend: WalkMeans,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    /// Duration of the walk.
    pub duration_ns: u64,
    /// All memcgs of the walk: live, removed, dying, and those just being created.
    pub memcgs: u64,
    pub live: u64,
    pub removed: u64,
    pub dying: u64,
    /// Live ones with no processes and no children; see `--empty`.
    pub empty: u64,
    /// What those are charged with: removed as they are, they would stay as dying memcgs.
    pub charged_to_empty_bytes: Option<u64>,
    pub ids_used: Option<u64>,
    pub ids_limit: u64,
    /// Of those used.
    pub ids_held_by_dying: Option<u64>,
    /// Charges of dying memcgs; those of a dying parent include its children.
    pub charged_to_dying_bytes: Option<u64>,
    /// What they can hold of it at most, by their references; null: not known of each.
    pub held_by_dying_bytes_max: Option<u64>,
    /// The kernel's own counts.
    pub kernel: KernelCounts,
    /// Whether they agree with the walk; null: this kernel does not count memcgs.
    pub kernel_agrees: Option<bool>,
    /// Number of walks until they agreed, and memcgs created or freed between the last two.
    pub walks: u64,
    pub moved: u64,
    pub conclusive: bool,
    /// See [`super::SummaryView::names_missing`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names_missing: Option<NamesMissingView<'a>>,
    pub unknown: Vec<Unknown<'a>>,
    /// Slab caches that pin dying memcgs; absent: unknown for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<Vec<CachePin<'a>>>,
    /// Of the cgroup hierarchy.
    #[serde(skip)]
    pub version: Version,
    /// What pins those dying, by what refers to them; absent: nobody looked, or nobody could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<PinTotal>>,
    #[serde(skip)]
    pub selection: Selection,
    /// In JSON, each is a separate line before the summary.
    #[serde(skip)]
    pub listed: MemcgList<'a>,
    /// Groups instead of the list, if requested; in JSON as above.
    #[serde(skip)]
    pub groups: Option<Vec<ScanGroup<'a>>>,
    /// Number of memcgs listed or grouped without limits.
    #[serde(skip)]
    pub selected: u64,
}

/// A group of memcgs.
#[derive(Clone, Debug, Serialize)]
pub struct ScanGroup<'a> {
    /// The common property; null: unknown.
    #[serde(flatten)]
    pub of: Common<'a>,
    /// Always null: only a trace sees creations. Present for consistency with its groups.
    pub created: Option<u64>,
    pub survived: Option<u64>,
    pub survival: Option<f64>,
    pub memcgs: u64,
    /// Of these.
    pub dying: u64,
    /// Those that hold their memcg ID; null: not known for all.
    pub ids_held: Option<u64>,
    /// Charges of descendants count only once; null: not known for all.
    pub charged_bytes: Option<u64>,
    /// Always null: a walk does not know how long they have been dying.
    pub oldest_ns: Option<u64>,
    /// What pins those that are dying, most references first; absent: it is known of none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinTotal>,
}

impl<'a> ScanView<'a> {
    /// `tracker` has applied the snapshot. `container` looks up a memcg's container.
    pub fn new(
        scanned: &'a Scanned,
        tracker: &'a Tracker,
        viewpoint: Viewpoint,
        request: ScanRequest,
        container: impl Fn(&Memcg) -> Option<Container> + 'a,
    ) -> Self {
        let Scanned { walked, counted, agrees, walks, moved, .. } = scanned;
        let totals = tracker.totals();
        let mut held = Some(0_u64);
        let dying = tracker.dying().map(|memcg| {
            let view = scanned.view(memcg, &viewpoint);
            held = held.zip(view.held_bytes_max).map(|(sum, held)| sum.saturating_add(held));
            (memcg, GroupMember::of(&view), ())
        });
        let dead = tally(dying).pop();
        let mut listed: Vec<&Memcg> = match request.selection {
            Selection::Dying => tracker.dying().collect(),
            Selection::All => tracker.memcgs().collect(),
            Selection::Empty => {
                tracker.memcgs().filter(|memcg| scanned.empty.contains_key(&memcg.key)).collect()
            }
        };
        sort(&mut listed, request.sort);
        let mut listed = MemcgList::new(listed, move |memcg| {
            ListedMemcg::new(scanned.view(memcg, &viewpoint), container(memcg))
        });
        let mut groups = request.by.map(|by| grouped(&listed, by));
        let selected = groups.as_ref().map_or(listed.len(), Vec::len) as u64;
        if let Some(top) = request.top {
            listed.truncate(top);
            groups.iter_mut().for_each(|groups| groups.truncate(top));
        }
        Self {
            backend: scanned.backend,
            time: viewpoint.clock.utc(walked.ended_ns),
            t_ns: viewpoint.clock.boot_ns(walked.ended_ns),
            duration_ns: walked.ended_ns.saturating_sub(walked.began_ns),
            memcgs: walked.memcgs,
            live: totals.live,
            removed: totals.removed,
            dying: totals.dying,
            empty: scanned.empty.len() as u64,
            charged_to_empty_bytes: scanned.charged_to_empty(tracker),
            ids_used: walked.ids_used,
            ids_limit: ID_LIMIT,
            ids_held_by_dying: dead.as_ref().map_or(Some(0), |dead| dead.ids_held),
            held_by_dying_bytes_max: held,
            charged_to_dying_bytes: dead.map_or(Some(0), |dead| dead.charged_bytes),
            kernel: *counted,
            kernel_agrees: *agrees,
            walks: *walks,
            moved: *moved,
            conclusive: *agrees != Some(false),
            names_missing: scanned.names_missing.as_ref().map(NamesMissingView::new),
            unknown: scanned.unknown.iter().map(|(what, reason)| Unknown { what, reason }).collect(),
            pinned_by: pins(tracker.dying()),
            version: scanned.accounting.version,
            pins: pins_of(tracker.dying()),
            selection: request.selection,
            selected,
            listed,
            groups,
        }
    }
}

impl Scanned {
    /// They have nothing below them, so none is in another one's charge.
    fn charged_to_empty(&self, tracker: &Tracker) -> Option<u64> {
        let charged = |key| Some(tracker.get(key)?.charged_pages? * self.accounting.page_bytes);
        self.empty.keys().try_fold(0_u64, |sum, key| Some(sum.saturating_add(charged(key)?)))
    }

    fn view<'a>(&self, memcg: &'a Memcg, viewpoint: &Viewpoint) -> MemcgView<'a> {
        let charges = self.walked.charges.get(&memcg.key);
        let charges = charges.map(|charges| ChargesView::new(charges, memcg.charged_pages, self.accounting));
        let age_min_ns = self.empty.get(&memcg.key).copied().flatten();
        let view = MemcgView::new(memcg, self.walked.ended_ns, viewpoint);
        // One reference of a socket stands for all of its buffers.
        let sock = charges.as_ref().and_then(|charges: &ChargesView| charges.sock).unwrap_or(0);
        let held_bytes_max = view.held_bytes_max.zip(view.charged_bytes);
        let held_bytes_max = held_bytes_max.map(|(held, charged)| held.saturating_add(sock).min(charged));
        MemcgView { charges, age_min_ns, held_bytes_max, ..view }
    }
}

/// Ties are sorted by age, oldest first.
fn sort(listed: &mut [&Memcg], by: Sort) {
    listed.sort_unstable_by_key(|memcg| (memcg.key.serial, memcg.key.css));
    match by {
        Sort::Age => {}
        Sort::Charged => listed.sort_by_key(|memcg| Reverse(memcg.charged_pages)),
        Sort::Refs => listed.sort_by_key(|memcg| Reverse(memcg.css_refs)),
        Sort::Id => listed.sort_by_key(|memcg| match memcg.id {
            Id::Held { id, .. } => u32::from(id),
            Id::Released | Id::Unknown => u32::MAX,
        }),
        Sort::Path => listed.sort_by(|one, other| one.path.cmp(&other.path)),
    }
}

fn grouped<'a>(listed: &MemcgList<'a>, by: By) -> Vec<ScanGroup<'a>> {
    let owner = |by: ByOwner, listed: &ListedMemcg<'a>| {
        Common::Owner(by.owner(listed.container.as_ref(), listed.memcg.path.map(|Name(path)| path)))
    };
    let common = |listed: &ListedMemcg<'a>| match by {
        By::Container => Common::Container(listed.container.clone().map(Box::new)),
        By::Pod => Common::PodUid(listed.container.as_ref().and_then(|container| container.pod_uid.clone())),
        By::Parent => Common::ParentPath(listed.memcg.path.map(parent)),
        By::State => Common::State(listed.memcg.state),
        By::Workload => owner(ByOwner::Workload, listed),
        By::Namespace => owner(ByOwner::Namespace, listed),
        By::Image => owner(ByOwner::Image, listed),
        By::Runtime => owner(ByOwner::Runtime, listed),
        By::Unit => owner(ByOwner::Unit, listed),
    };
    let shown = listed.memcgs().zip(listed.iter());
    let tallies = tally(shown.map(|(memcg, shown)| (memcg, GroupMember::of(&shown.memcg), common(&shown))));
    let group = |tally| {
        let Tally { of, memcgs, dying, ids_held, charged_bytes, oldest_ns, pins } = tally;
        let (created, survived, survival) = (None, None, None);
        ScanGroup { of, created, survived, survival, memcgs, dying, ids_held, charged_bytes, oldest_ns, pins }
    };
    tallies.into_iter().map(group).collect()
}
