//! What helps, in order of risk. Nothing of it is ever done by the tool itself.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    findings::{Finding, Severity, What},
    known_bugs::{Known, KnownBug},
    node::Node,
    pins::Pin,
    remedy_kind::RemedyKind,
};

/// One remedy for this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    pub remedy: RemedyKind,
    pub action: String,
    /// When it helps, and when not.
    pub helps: &'static str,
    pub cost: &'static str,
}

/// What helps this node: everything if it is sick, otherwise how to look closer, and what prevents a bug that shows too
/// late.
pub(super) fn of(node: &Node, findings: &[Finding], known: &[Known]) -> Vec<Remedy> {
    let is =
        |what, severity| findings.iter().any(|finding| finding.what == what && finding.severity == severity);
    let bad = |what| is(what, Severity::Note) || is(what, Severity::Sick);
    let sick = findings.iter().any(|finding| finding.severity == Severity::Sick);
    let zombies = bad(What::Dying) || bad(What::HeldMemory);
    let elsewhere = bad(What::OtherControllers);
    let ill = zombies || sick || bad(What::MemcgIds) || bad(What::SlabCaches);
    let mut kinds = BTreeSet::new();
    if ill {
        kinds.insert(RemedyKind::Find);
    }
    if elsewhere {
        kinds.insert(RemedyKind::LookElsewhere);
    }
    if bad(What::Empty) {
        kinds.insert(RemedyKind::RemoveEmpty);
    }
    if sick {
        kinds.extend(node.memcgs.pins.keys().flat_map(|pin| against(*pin)));
    }
    // What only another kernel or another setting cures: where it leaks, and where it would not show.
    let leaks = [What::Dying, What::HeldMemory].into_iter().any(|what| is(what, Severity::Sick));
    let wanted = |bug: &KnownBug| bug.prevent || if bug.elsewhere { elsewhere } else { leaks };
    let causes: Vec<&KnownBug> = known.iter().map(|known| known.bug).filter(|bug| wanted(bug)).collect();
    let lasting = |kind: &&RemedyKind| **kind >= RemedyKind::RuntimeNokmem;
    kinds.extend(causes.iter().flat_map(|bug| bug.remedies.iter().filter(lasting)));
    if sick {
        kinds.insert(RemedyKind::Reboot);
    }
    kinds.into_iter().map(|kind| remedy(kind, node, &causes)).collect()
}

fn against(pin: Pin) -> &'static [RemedyKind] {
    match pin {
        Pin::Swap => &[RemedyKind::RestartOwners, RemedyKind::Swapoff],
        Pin::Tmpfs => &[RemedyKind::RemoveFiles],
        Pin::PageCache | Pin::Kernel => &[RemedyKind::DropCaches],
        Pin::Processes | Pin::Sockets => &[RemedyKind::RestartOwners],
        Pin::Reference => &[RemedyKind::Reap, RemedyKind::DropCaches],
        // No objects keep them, but empty slabs that nothing takes back.
        Pin::SlabCaches | Pin::Unknown => &[],
        Pin::Pages => &[RemedyKind::RemoveFiles, RemedyKind::DropCaches],
    }
}

fn remedy(kind: RemedyKind, node: &Node, causes: &[&KnownBug]) -> Remedy {
    let (action, helps, cost): (String, _, _) = match kind {
        RemedyKind::Find => (
            "memcg-trace scan --by container; --by parent; --sort charged --top 20".into(),
            "says whose the dying memcgs are: stop making more of them first",
            "none, it only reads",
        ),
        RemedyKind::LookElsewhere => (
            format!("look at the controller \"{}\": it is not the memory controller that keeps cgroups", elsewhere(node)),
            "nothing below that is about memory helps",
            "none, it only reads",
        ),
        RemedyKind::RemoveEmpty => (
            "rmdir what memcg-trace scan --empty lists".into(),
            "gives back memcg IDs; no help against what is dying",
            "a runtime may want one of them later; rmdir refuses what is in use",
        ),
        RemedyKind::RemoveFiles => (
            "remove files on tmpfs that nobody needs (/dev/shm, emptyDir volumes in memory); memcg-trace scan names the \
             pods that wrote them"
                .into(),
            "frees memcgs that files on a tmpfs keep, at once",
            "what is in the files",
        ),
        RemedyKind::Reap => (
            "end what outlived its cgroup: parents of zombie processes (ps -eo ppid,stat,comm), processes in a removed \
             cgroup (grep -l deleted /proc/*/cgroup), holders of cgroup namespaces (lsns -t cgroup)"
                .into(),
            "frees memcgs with a reference or two and nothing charged",
            "those processes",
        ),
        RemedyKind::RestartOwners => (
            "restart the processes that took memory, sockets or swap along out of the dead cgroups".into(),
            "frees what they hold, and the memcg IDs of swapped-out pages",
            "those processes",
        ),
        RemedyKind::DropCaches => (
            "sync; echo 3 > /proc/sys/vm/drop_caches".into(),
            "frees memcgs that page cache, dentries and inodes keep; not those kept by tmpfs, swap, sockets, processes or \
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
            "no container gets kernel memory accounting, whoever asks for it",
            "a reboot; kernel memory of containers has no limit any more",
        ),
        RemedyKind::Upgrade => (
            upgrade(causes),
            "ends what is known for this release, and only that",
            "a reboot, and whatever a new kernel brings",
        ),
        RemedyKind::Reboot => (
            "drain the node and reboot it".into(),
            "frees everything; without the cause found it comes back",
            "the node is away for that time",
        ),
    };
    Remedy { remedy: kind, action, helps, cost }
}

fn elsewhere(node: &Node) -> &str {
    let others = node.dying_by_controller.iter().filter(|(name, _)| *name != "memory");
    others.max_by_key(|(_, count)| **count).map_or("?", |(name, _)| name)
}

/// Where to, for each bug that it cures.
fn upgrade(causes: &[&KnownBug]) -> String {
    let cured = causes.iter().filter(|bug| bug.remedies.contains(&RemedyKind::Upgrade));
    let fixes = cured.map(|bug| match &bug.fixed_in {
        Some(release) => format!("{release} or later ({})", bug.id),
        None => format!("a series without {}", bug.id),
    });
    format!("upgrade the kernel to {}", fixes.collect::<Vec<_>>().join(", "))
}
