//! Findings about a node.

use std::cmp::Reverse;

use serde::Serialize;

use super::node::{CGROUP, Memcgs, Node, Trend};
use crate::{
    cause::{Hint, Pin, Pinned, pin_totals},
    event::ID_LIMIT,
    tracker::{AllocError, Ids},
    units::{Count, Size, Time},
};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Good,
    /// Worth a look.
    Note,
    Sick,
    /// Unknown, and might be a problem.
    Unknown,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: FindingKind,
    pub severity: Severity,
    pub text: String,
}

/// The subjects of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    Live,
    Dying,
    HeldMemory,
    MemcgIds,
    Empty,
    OtherControllers,
    SlabCaches,
    Kmem,
    Mkdir,
    Hooks,
    Counts,
}

/// Limits from which a node is sick.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Persistently dying cgroups.
    pub max_dying: u64,
}

impl Limits {
    /// Several hundred zombies pinned by page cache are common, and harmless.
    pub const MAX_DYING: u64 = 1_000;
    /// IDs in use, percent of all.
    pub const IDS_PERCENT: u64 = 90;
    /// Memory held by zombies, percent of the machine's.
    pub const MEMORY_PERCENT: u64 = 5;
}

/// Percentage from which it is worth a look.
const IDS_NOTE_PERCENT: u64 = 50;
pub(super) const SLAB_CACHES_NOTE: u64 = 2_000;
/// Minimum growth of IDs between the looks for a forecast; fewer come and go.
const LEAST_GROWTH: i64 = 10;
/// Factor by which dying cgroups of another controller exceed memcgs if the problem is not memory.
const ELSEWHERE: u64 = 2;

/// All findings, in a fixed order.
pub(super) fn of(node: &Node, limits: &Limits) -> Vec<Finding> {
    let memcgs = &node.memcgs;
    let findings = [
        Some(live(memcgs)),
        Some(dying(node, limits)),
        memcgs.held_bytes.map(|held| memory(held, memcgs.held_bytes_max, node.memory_bytes)),
        Some(ids(node)),
        memcgs.empty.map(|empty| forgotten(empty, limits)),
        elsewhere(node, limits),
        node.slab_caches.map(|caches| slab_caches(caches, node.trend)),
        Some(kmem(node)),
        node.mkdir_errno.map(|errno| mkdir(errno, memcgs)),
        hooks(node),
        counts(memcgs),
    ];
    findings.into_iter().flatten().collect()
}

fn finding(what: FindingKind, severity: Severity, text: impl Into<String>) -> Finding {
    Finding { what, severity, text: text.into() }
}

fn live(memcgs: &Memcgs) -> Finding {
    match memcgs.live {
        Some(live) => {
            let removed = memcgs.removed.filter(|&removed| removed > 0);
            let removed = removed.map(|removed| format!(", and {} removed, not offline yet", Count(removed)));
            finding(
                FindingKind::Live,
                Severity::Good,
                format!("{}{}", Count(live), removed.unwrap_or_default()),
            )
        }
        None => finding(FindingKind::Live, Severity::Unknown, "unknown"),
    }
}

fn dying(node: &Node, limits: &Limits) -> Finding {
    let Memcgs { dying, staying, .. } = &node.memcgs;
    let (Some(dying), Some(staying)) = (*dying, *staying) else {
        return finding(FindingKind::Dying, Severity::Unknown, "unknown");
    };
    let severity = match staying {
        0 => Severity::Good,
        _ if staying < limits.max_dying => Severity::Note,
        _ => Severity::Sick,
    };
    let mut text = Count(dying).to_string();
    if dying > 0 {
        text += &format!(", {} persistent", Count(staying));
    }
    if severity == Severity::Sick {
        text += &format!(" (sick from {} on)", Count(limits.max_dying));
    }
    text += &pinned_by(&node.memcgs);
    text += &growth(node.trend, |trend| trend.dying);
    finding(FindingKind::Dying, severity, text)
}

/// By what refers to them; else by what counters make likely. How many memcgs each pins, the most frequent one first: a
/// memcg counts for each kind of pin that it has.
fn pinned_by(memcgs: &Memcgs) -> String {
    let (by, mut pins): (_, Vec<(&str, u64)>) = match &memcgs.pinned {
        Some(pinned) => {
            let totals = pin_totals(pinned).into_iter();
            ("pinned by", totals.map(|total| (total.pin.name(), total.memcgs)).collect())
        }
        None => {
            let hints = memcgs.hints.iter().map(|(hint, count)| (hint.name(), *count));
            ("by their counters, pinned by", hints.collect())
        }
    };
    if pins.is_empty() {
        return String::new();
    }
    pins.sort_by_key(|(_, count)| Reverse(*count));
    let pins = pins.into_iter().map(|(name, count)| format!("{name} ({})", Count(count)));
    format!("; {by} {}", pins.collect::<Vec<_>>().join(", "))
}

/// Between one page and one huge page for each reference.
fn memory(held: u64, most: Option<u64>, machine: Option<u64>) -> Finding {
    let much = |bytes: u64| machine.is_some_and(|machine| bytes >= machine / 100 * Limits::MEMORY_PERCENT);
    let sick = much(held);
    let size = |bytes| Size { bytes }.to_string();
    let of_machine = machine.map(|machine| format!(" of {}", size(machine))).unwrap_or_default();
    let mut text = match most {
        _ if held == 0 => format!("{}{of_machine}", size(0)),
        Some(most) if size(most) == size(held) => format!("{}{of_machine}", size(held)),
        Some(most) => format!("{} to {}{of_machine}, by their references", size(held), size(most)),
        None => format!("at least {}{of_machine}", size(held)),
    };
    if sick {
        text += &format!(" (sick from {} % on)", Limits::MEMORY_PERCENT);
    }
    let severity = match (sick, most.is_some_and(much)) {
        (true, _) => Severity::Sick,
        (false, true) => Severity::Note,
        (false, false) => Severity::Good,
    };
    finding(FindingKind::HeldMemory, severity, text)
}

fn ids(node: &Node) -> Finding {
    let Memcgs { ids_used, ids_held_by_dying, live, .. } = node.memcgs;
    let percent = |ids: u64| ids * 100 / ID_LIMIT;
    // Every live memcg has an ID.
    let at_least = ids_used.or(live).unwrap_or(0);
    let severity = match (percent(at_least), ids_used) {
        (Limits::IDS_PERCENT.., _) => Severity::Sick,
        (_, None) => Severity::Unknown,
        (IDS_NOTE_PERCENT.., _) => Severity::Note,
        _ => Severity::Good,
    };
    let mut text = match ids_used {
        Some(used) => format!("{} of {} in use", Count(used), Count(ID_LIMIT)),
        None => format!(
            "at least {} of {} in use, number held by dying memcgs unknown",
            Count(at_least),
            Count(ID_LIMIT)
        ),
    };
    if let Some(held) = ids_held_by_dying {
        text += &format!(", {} held by dying memcgs", Count(held));
    }
    if severity == Severity::Sick {
        text += &format!(" (sick from {} % on)", Limits::IDS_PERCENT);
    }
    text += &growth(node.trend, |trend| trend.ids);
    // Two looks are no trend: what came in between may go again.
    if let (Some(used), Some(trend)) = (ids_used, node.trend)
        && let Some(grown @ LEAST_GROWTH..) = trend.ids
    {
        let left = u128::from(ID_LIMIT.saturating_sub(used));
        let ns = left * u128::from(trend.span_ns) / u128::from(grown.unsigned_abs());
        text += &format!(
            "; if it goes on like this, mkdir fails in {}",
            Time { ns: u64::try_from(ns).unwrap_or(u64::MAX) }
        );
    }
    finding(FindingKind::MemcgIds, severity, text)
}

fn forgotten(empty: u64, limits: &Limits) -> Finding {
    let severity = if empty >= limits.max_dying { Severity::Note } else { Severity::Good };
    finding(FindingKind::Empty, severity, format!("{} live, with no processes and no children", Count(empty)))
}

/// What keeps cgroups that no memcg keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    Controller(String),
    /// This kernel counts cgroups only.
    Unnamed,
    /// The kernel counts by controller, and of these cgroups by none: they are referred to themselves.
    None,
}

/// Many more dying cgroups than memcgs.
pub(super) struct Elsewhere {
    count: u64,
    pub keeper: Keeper,
}

impl Elsewhere {
    /// `None`: it is the memcgs, or nothing at all.
    pub fn of(node: &Node) -> Option<Self> {
        let by = &node.dying_by_controller;
        let memory = node.memcgs.staying.unwrap_or(0);
        let many = |count: u64, than: u64| count >= 10 && count > than.saturating_mul(ELSEWHERE);
        let controllers = by.iter().filter(|(name, _)| *name != CGROUP);
        let named =
            controllers.clone().filter(|(name, _)| *name != "memory").max_by_key(|(_, count)| **count);
        let most = controllers.map(|(_, count)| *count).max();
        let all = by.get(CGROUP).copied().unwrap_or(0);
        // A cgroup that several controllers keep is in the count of each: at least so many are in none.
        let none = all.saturating_sub(most.unwrap_or(0));
        if most.is_none() {
            return many(all, memory).then_some(Self { count: all, keeper: Keeper::Unnamed });
        }
        match named {
            Some((name, &count)) if many(count, memory) && count >= none => {
                Some(Self { count, keeper: Keeper::Controller(name.clone()) })
            }
            _ => many(none, memory).then_some(Self { count: none, keeper: Keeper::None }),
        }
    }
}

/// Zombies of another controller.
fn elsewhere(node: &Node, limits: &Limits) -> Option<Finding> {
    let Elsewhere { count, keeper } = Elsewhere::of(node)?;
    let severity = if count >= limits.max_dying { Severity::Sick } else { Severity::Note };
    let by = match &keeper {
        Keeper::Controller(name) => format!("{} cgroups are dying by {name}", Count(count)),
        Keeper::Unnamed => {
            format!("{} cgroups are dying by an unknown controller", Count(count))
        }
        Keeper::None => format!("{} cgroups are dying without any controller in them", Count(count)),
    };
    let mut others: Vec<_> = node.dying_by_controller.iter().filter(|(name, _)| *name != CGROUP).collect();
    others.sort_by_key(|(_, count)| Reverse(**count));
    let others = others.iter().filter(|(name, count)| **count > 0 && *name != "memory");
    let others = others.map(|(name, count)| format!("{name} {}", Count(**count))).collect::<Vec<_>>();
    let memory = Count(node.memcgs.staying.unwrap_or(0));
    let mut text = format!("not memory: {by}, and only {memory} memcgs");
    if others.len() > 1 || keeper == Keeper::None && !others.is_empty() {
        text += &format!(" (by controller: {})", others.join(", "));
    }
    Some(finding(FindingKind::OtherControllers, severity, text))
}

fn slab_caches(caches: u64, trend: Option<Trend>) -> Finding {
    let severity = if caches >= SLAB_CACHES_NOTE { Severity::Note } else { Severity::Good };
    let many = if severity == Severity::Note { ", many: a few hundred are usual" } else { "" };
    let growth = growth(trend, |trend| trend.slab_caches);
    finding(FindingKind::SlabCaches, severity, format!("{} in /sys/kernel/slab{many}{growth}", Count(caches)))
}

fn kmem(node: &Node) -> Finding {
    let kmem = node.kmem;
    let (charged, cgroups) = (Count(kmem.charged), Count(kmem.cgroups));
    let by_caches = pinned_by_caches(&node.memcgs);
    let text = if kmem.nokmem {
        "not accounted for: booted with cgroup.memory=nokmem".to_owned()
    } else if kmem.cgroups == 0 {
        "accounting is on by default; no cgroup disables it".to_owned()
    } else if kmem.charged == 0 && by_caches > 0 {
        let memcgs = Count(by_caches);
        format!(
            "accounted for: slab caches of their own pin {memcgs} dying memcgs; none of {cgroups} cgroups is charged for any"
        )
    } else if kmem.charged == 0 {
        format!("not seen: none of {cgroups} cgroups is charged for any")
    } else {
        let limited = match kmem.limited {
            0 => String::new(),
            limited => format!(", {} with a limit of its own", Count(limited)),
        };
        format!("accounted for in {charged} of {cgroups} cgroups{limited}")
    };
    let containers = match (kmem.containers_charged, kmem.containers) {
        _ if kmem.nokmem => String::new(),
        (_, 0) => String::new(),
        (0, _) if by_caches > 0 => String::new(),
        (0, all) => format!("; in none of {} containers: their runtime does not enable it", Count(all)),
        (charged, all) => format!("; in {} of {} containers", Count(charged), Count(all)),
    };
    let text = text + &containers;
    finding(FindingKind::Kmem, Severity::Good, text)
}

/// Dying memcgs that their own slab caches pin: these were charged for kernel memory.
fn pinned_by_caches(memcgs: &Memcgs) -> u64 {
    let by_cache = |pinned: &&Pinned| pinned.by.iter().any(|by| by.pin == Pin::SlabCache);
    match &memcgs.pinned {
        Some(pinned) => pinned.iter().filter(by_cache).count() as u64,
        None => memcgs.hints.get(&Hint::SlabCaches).copied().unwrap_or(0),
    }
}

fn mkdir(errno: u32, memcgs: &Memcgs) -> Finding {
    let (used, held_by_dying) = (memcgs.ids_used, memcgs.ids_held_by_dying);
    let ids = Ids { used, limit: ID_LIMIT, held_by_dying, exhaustion: None };
    let AllocError { name, meaning, .. } = AllocError::decode(errno, &ids, memcgs.dying);
    finding(FindingKind::Mkdir, Severity::Sick, format!("no cgroup can be created, {name}: {meaning}"))
}

fn hooks(node: &Node) -> Option<Finding> {
    let text = "not every hook fired in the self-test: traces here may be incomplete";
    (node.hooks_fired == Some(false)).then(|| finding(FindingKind::Hooks, Severity::Unknown, text))
}

fn counts(memcgs: &Memcgs) -> Option<Finding> {
    let text = "the walk differs from the kernel's own counts: run again";
    if let Some(reason) = &memcgs.not_walked {
        let text = format!("only the kernel's own counts, as it could not be walked: {reason}");
        return Some(finding(FindingKind::Counts, Severity::Note, text));
    }
    (memcgs.agrees == Some(false)).then(|| finding(FindingKind::Counts, Severity::Unknown, text))
}

/// `, +12 in 1m0s`
fn growth(trend: Option<Trend>, of: impl Fn(&Trend) -> Option<i64>) -> String {
    let grown = trend.and_then(|trend| Some((of(&trend)?, trend.span_ns)));
    grown.map(|(grown, ns)| format!(", {grown:+} in {}", Time { ns })).unwrap_or_default()
}

impl FindingKind {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live memcgs",
            Self::Dying => "dying memcgs",
            Self::HeldMemory => "memory held by zombies",
            Self::MemcgIds => "memcg IDs",
            Self::Empty => "empty",
            Self::OtherControllers => "other controllers",
            Self::SlabCaches => "slab caches",
            Self::Kmem => "kernel memory",
            Self::Mkdir => "mkdir",
            Self::Hooks => "hooks",
            Self::Counts => "counts",
        }
    }
}
