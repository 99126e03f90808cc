//! Remedies, in order of risk. The tool only suggests them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cause::{Hint, Pin, pin_totals};

use super::{
    findings::{Elsewhere, Finding, FindingKind, Keeper, SLAB_CACHES_NOTE, Severity},
    known_bugs::{Known, KnownBug},
    node::{Memcgs, Node},
    remedy_kind::RemedyKind,
};

/// A remedy for this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    pub remedy: RemedyKind,
    pub action: String,
    /// What it helps against, and what not.
    pub helps: &'static str,
    pub cost: &'static str,
}

/// Remedies for this node: all applicable ones if it is sick, otherwise how to investigate, and how to prevent a bug
/// that is not visible in time.
pub(super) fn of(node: &Node, findings: &[Finding], known: &[Known]) -> Vec<Remedy> {
    let is =
        |what, severity| findings.iter().any(|finding| finding.what == what && finding.severity == severity);
    let bad = |what| is(what, Severity::Note) || is(what, Severity::Sick);
    let sick = findings.iter().any(|finding| finding.severity == Severity::Sick);
    let zombies = bad(FindingKind::Dying) || bad(FindingKind::HeldMemory);
    let elsewhere = bad(FindingKind::OtherControllers);
    let ill = zombies || sick || bad(FindingKind::MemcgIds) || bad(FindingKind::SlabCaches);
    let mut kinds = BTreeSet::new();
    if ill {
        kinds.insert(RemedyKind::Find);
    }
    if ill && node.memcgs.pinned.is_some() {
        kinds.insert(RemedyKind::Explain);
    }
    if elsewhere {
        kinds.insert(RemedyKind::LookElsewhere);
    }
    if bad(FindingKind::Empty) {
        kinds.insert(RemedyKind::RemoveEmpty);
    }
    if sick {
        kinds.extend(against(&node.memcgs));
    } else if zombies {
        // What costs nobody anything.
        kinds.extend(against(&node.memcgs).into_iter().filter(|kind| *kind == RemedyKind::ReapCache));
    }
    // Another kernel or setting: where it leaks, and where a leak would not be visible.
    let leaks =
        [FindingKind::Dying, FindingKind::HeldMemory].into_iter().any(|what| is(what, Severity::Sick));
    let wanted = |bug: &KnownBug| bug.prevent || if bug.elsewhere { elsewhere } else { leaks };
    let causes: Vec<&KnownBug> = known.iter().map(|known| known.bug).filter(|bug| wanted(bug)).collect();
    let lasting = |kind: &&RemedyKind| **kind >= RemedyKind::RuntimeNokmem;
    kinds.extend(causes.iter().flat_map(|bug| bug.remedies.iter().filter(lasting)));
    if sick {
        kinds.insert(RemedyKind::Reboot);
    }
    kinds.into_iter().map(|kind| remedy(kind, node, &causes)).collect()
}

/// By what refers to the memcgs that stay; else by what counters make likely.
fn against(memcgs: &Memcgs) -> BTreeSet<RemedyKind> {
    match &memcgs.pinned {
        Some(pinned) => {
            let totals = pin_totals(pinned).into_iter();
            totals.flat_map(|total| against_pin(total.pin)).copied().collect()
        }
        None => memcgs.hints.keys().flat_map(|hint| against_hint(*hint)).copied().collect(),
    }
}

fn against_pin(pin: Pin) -> &'static [RemedyKind] {
    match pin {
        Pin::File => &[RemedyKind::ReapCache, RemedyKind::DropCaches],
        Pin::BlockDevice | Pin::Writeback => &[RemedyKind::DropCaches],
        Pin::Tmpfs | Pin::SysvShm | Pin::Hugetlb => &[RemedyKind::RemoveFiles],
        Pin::Memfd | Pin::SharedAnon | Pin::Anon | Pin::Mm | Pin::KernelPages => &[RemedyKind::RestartOwners],
        Pin::Socket | Pin::Inotify | Pin::Fanotify | Pin::BpfMap => &[RemedyKind::RestartOwners],
        Pin::Swap => &[RemedyKind::RestartOwners, RemedyKind::Swapoff],
        Pin::Directory => &[RemedyKind::RestartOwners],
        Pin::Task | Pin::CgroupNamespace | Pin::PerfEvent => &[RemedyKind::Reap],
        Pin::NetNamespace => &[RemedyKind::RemoveNamespaces],
        // These go by themselves, with what they are of, or not at all.
        Pin::ChargeStock
        | Pin::Child
        | Pin::SlabCache
        | Pin::KernelMemory
        | Pin::Detached
        | Pin::Unexplained => &[],
    }
}

fn against_hint(hint: Hint) -> &'static [RemedyKind] {
    match hint {
        Hint::Swap => &[RemedyKind::RestartOwners, RemedyKind::Swapoff],
        Hint::Tmpfs => &[RemedyKind::RemoveFiles],
        Hint::PageCache | Hint::Kernel => &[RemedyKind::DropCaches],
        Hint::Processes | Hint::Sockets => &[RemedyKind::RestartOwners],
        Hint::Reference => &[RemedyKind::Reap, RemedyKind::DropCaches],
        // They are pinned not by objects, but by empty slabs that are not reclaimed.
        Hint::SlabCaches | Hint::Unknown => &[],
        Hint::Pages => &[RemedyKind::RemoveFiles, RemedyKind::DropCaches],
    }
}

fn remedy(kind: RemedyKind, node: &Node, causes: &[&KnownBug]) -> Remedy {
    let (action, helps, cost): (String, _, _) = match kind {
        RemedyKind::Find => find(node),
        RemedyKind::Explain => (
            "memcg-trace explain; memcg-trace explain --by file; memcg-trace explain --by holder".into(),
            "names what pins each of them, who has it, and the command that frees it",
            "none, it only reads",
        ),
        RemedyKind::LookElsewhere => (
            elsewhere(node),
            "the remedies below that concern memory do not help",
            "none, it only reads",
        ),
        RemedyKind::RemoveEmpty => (
            "empty what memcg-trace scan --empty lists (v1: memory.force_empty, v2: memory.reclaim), then rmdir it".into(),
            "frees memcg IDs; does not help against dying memcgs, and creates more where pages are still charged",
            "a runtime may want one of them later; rmdir fails for those in use",
        ),
        RemedyKind::RemoveFiles => (
            "remove files on tmpfs that nobody needs (/dev/shm, emptyDir volumes in memory); memcg-trace scan names the \
             pods that wrote them"
                .into(),
            "frees memcgs pinned by tmpfs files, at once",
            "the contents of the files",
        ),
        RemedyKind::ReapCache => (
            "memcg-trace reap".into(),
            "frees memcgs that clean, unmapped page cache pins, and leaves all other caches alone",
            "those files are read from disk again when they are needed",
        ),
        RemedyKind::RemoveNamespaces => (
            "umount network namespaces that nobody lives in any more (ls /run/netns /run/docker/netns); memcg-trace explain \
             names them"
                .into(),
            "frees memcgs that the sockets of leaked network namespaces pin",
            "those namespaces, and the devices in them",
        ),
        RemedyKind::Reap => (
            "end what outlived its cgroup: parents of zombie processes (ps -eo ppid,stat,comm), processes in a removed \
             cgroup (grep -l deleted /proc/*/cgroup), holders of cgroup namespaces (lsns -t cgroup)"
                .into(),
            "frees memcgs with a reference or two and nothing charged",
            "those processes",
        ),
        RemedyKind::RestartOwners => (
            "restart the processes that were moved out of dead cgroups with their memory, sockets or swap".into(),
            "frees what they hold, and the memcg IDs of swapped-out pages",
            "those processes",
        ),
        RemedyKind::DropCaches => (
            "sync; echo 3 > /proc/sys/vm/drop_caches".into(),
            "frees memcgs pinned by page cache, dentries and inodes; not those pinned by tmpfs, swap, sockets, processes or \
             mapped files",
            "cold caches: disk reads and latency for minutes; on a large node it may stall",
        ),
        RemedyKind::Swapoff => (
            "swapoff -a && swapon -a".into(),
            "frees the memcg IDs that swapped-out pages hold",
            "all of swap has to fit into free memory, or the OOM killer runs; it can take hours",
        ),
        RemedyKind::RuntimeNokmem => (
            "use a kubelet and a runc built with the tag nokmem".into(),
            "no new container gets kernel memory accounting; what leaked stays until reboot",
            "restart of kubelet and of all containers; kernel memory of containers has no limit any more",
        ),
        RemedyKind::Nokmem => (
            "boot with cgroup.memory=nokmem".into(),
            "no container gets kernel memory accounting, even if its runtime requests it",
            "a reboot; kernel memory of containers has no limit any more",
        ),
        RemedyKind::Upgrade => (
            upgrade(causes),
            "fixes the bugs known for this release, and only those",
            "a reboot, and whatever a new kernel brings",
        ),
        RemedyKind::Reboot => (
            "drain the node and reboot it".into(),
            "frees everything; comes back unless the cause is found",
            "downtime of the node",
        ),
    };
    Remedy { remedy: kind, action, helps, cost }
}

/// By what there is to find.
fn find(node: &Node) -> (String, &'static str, &'static str) {
    let (action, helps) = if node.memcgs.dying != Some(0) {
        (
            "memcg-trace scan --by container; memcg-trace scan --by parent; memcg-trace scan --sort charged --top 20",
            "shows who owns the dying memcgs: first stop creating more",
        )
    } else if node.slab_caches.is_some_and(|caches| caches >= SLAB_CACHES_NOTE) {
        (
            "memcg-trace slab; memcg-trace slab --watch 1m",
            "says which slab caches there are many of, and who makes them",
        )
    } else {
        (
            "memcg-trace scan --all --by parent; memcg-trace scan --all --by workload; memcg-trace scan --empty",
            "says whose the live memcgs are: no memcg is dying",
        )
    };
    (action.to_owned(), helps, "none, it only reads")
}

fn elsewhere(node: &Node) -> String {
    match Elsewhere::of(node).map(|elsewhere| elsewhere.keeper) {
        Some(Keeper::Controller(name)) => {
            format!("look at the controller \"{name}\": the memory controller is not what pins cgroups")
        }
        Some(Keeper::Unnamed) => {
            "find the controller that keeps cgroups: this kernel counts them, and not by controller".to_owned()
        }
        Some(Keeper::None) | None => "find what refers to the cgroups themselves: tasks in a removed cgroup (grep -l deleted \
             /proc/*/cgroup), cgroup namespaces (lsns -t cgroup), sockets that outlive who made them (ss -ae), eBPF programs \
             attached to cgroups (bpftool cgroup tree)"
            .to_owned(),
    }
}

/// The kernel to upgrade to. A release that fixes one bug of a series says nothing of those that no release of it fixes.
fn upgrade(causes: &[&KnownBug]) -> String {
    let cured = causes.iter().filter(|bug| bug.remedies.contains(&RemedyKind::Upgrade));
    let (mut fixed, mut unfixed) = (Vec::new(), Vec::new());
    for bug in cured {
        match &bug.fixed_in {
            Some(release) => fixed.push(format!("{release} or later ({})", bug.id)),
            None => unfixed.push(&*bug.id),
        }
    }
    let (fixed, unfixed) = (fixed.join(", "), unfixed.join(", "));
    match (fixed.is_empty(), unfixed.is_empty()) {
        (_, true) => format!("upgrade the kernel to {fixed}"),
        (true, false) => {
            format!("upgrade to a kernel of another series: no release of this one fixes {unfixed}")
        }
        (false, false) => format!(
            "upgrade to a kernel of another series: no release of this one fixes {unfixed}; without it, only other bugs are \
             fixed, in {fixed}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::known_bugs;

    #[test]
    fn what_an_upgrade_fixes() {
        let bug = |release: &str, id: &str| {
            let node = Node { release: release.to_owned(), ..Node::default() };
            let known = known_bugs::of(&node).into_iter().find(|known| known.bug.id == id);
            known.expect("a bug of this release").bug
        };
        let pages = bug("6.1.0", "lru-pins");
        let [ids, caches] = ["el7-kmem-ids", "el7-slab-caches"].map(|id| bug("3.10.0-957.el7.x86_64", id));
        let other_series =
            "upgrade to a kernel of another series: no release of this one fixes el7-kmem-ids".to_owned();
        let others =
            "; without it, only other bugs are fixed, in 3.10.0-1062.12.1.el7 or later (el7-slab-caches)";
        let table: [(&[&KnownBug], String); 3] = [
            (&[pages], "upgrade the kernel to 7.1 or later (lru-pins)".to_owned()),
            (&[ids], other_series.clone()),
            (&[ids, caches], other_series + others),
        ];
        for (causes, action) in table {
            assert_eq!(upgrade(causes), action);
        }
    }
}
