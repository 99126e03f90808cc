//! What `doctor` makes of nodes: hand-made facts, through the diagnosis, into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test doctor` writes the files anew; read the difference before committing it.

#[path = "golden/compare.rs"]
mod golden;

use std::collections::BTreeMap;

use golden::{check_json, check_text, compare};
use memcg_trace::{
    cause::{Hint, Pin, Pinned, PinnedBy},
    diagnosis::{Diagnosis, Limits, Memcgs, Node, RemedyKind, Severity, Trend, What, diagnose},
    kernel::{
        ability::{Ability, Answer},
        cgroupfs::hierarchy::ControllerError,
        hooks::attach::AttachError,
    },
    record::{Backend, Kmem, Version},
    report::{
        json,
        text::{self, Color},
        view::{DoctorView, Verdict},
    },
};

const LIMITS: Limits = Limits { max_dying: Limits::MAX_DYING };

/// A node that is well, on a kernel that keeps nothing but by swap.
fn healthy() -> Node {
    Node {
        release: "7.2.12+deb14-cloud-amd64".to_owned(),
        memory_bytes: Some(16 << 30),
        memcgs: Memcgs {
            live: Some(120),
            removed: Some(0),
            dying: Some(0),
            staying: Some(0),
            empty: Some(3),
            ids_used: Some(121),
            ids_held_by_dying: Some(0),
            held_bytes: Some(0),
            agrees: Some(true),
            ..Memcgs::default()
        },
        slab_caches: Some(180),
        kmem: Kmem { cgroups: 120, charged: 118, ..Kmem::default() },
        ..Node::default()
    }
}

/// The node of the seed: mkdir fails, nothing counts what leaked, and there is no type information to walk by.
fn seed() -> Node {
    Node {
        release: "3.10.0-1062.12.1.el7.x86_64".to_owned(),
        version: Some(Version::V1),
        memory_bytes: Some(64 << 30),
        memcgs: Memcgs {
            live: Some(412),
            dying: Some(2),
            staying: Some(2),
            not_walked: Some("neither way to walk works here".to_owned()),
            ..Memcgs::default()
        },
        slab_caches: Some(40_000),
        kmem: Kmem {
            cgroups: 411,
            charged: 260,
            containers: 250,
            containers_charged: 248,
            ..Kmem::default()
        },
        mkdir_errno: Some(12),
        ..Node::default()
    }
}

/// Zombies by swap, and few IDs left.
fn exhausted() -> Node {
    let mut node = healthy();
    node.release = "6.1.0-28-cloud-amd64".to_owned();
    node.memcgs = Memcgs {
        dying: Some(60_700),
        staying: Some(60_512),
        ids_used: Some(60_900),
        ids_held_by_dying: Some(60_500),
        held_bytes: Some(1 << 30),
        hints: BTreeMap::from([(Hint::Swap, 60_500), (Hint::Tmpfs, 12)]),
        ..node.memcgs
    };
    node.trend =
        Some(Trend { span_ns: 60_000_000_000, dying: Some(30), ids: Some(31), slab_caches: Some(0) });
    node
}

fn not_memory() -> Node {
    let mut node = healthy();
    node.release = "5.19.4-200.fc36.x86_64".to_owned();
    node.dying_by_controller = BTreeMap::from([("blkio".to_owned(), 5_100), ("memory".to_owned(), 4)]);
    node.memcgs = Memcgs { dying: Some(4), staying: Some(4), ..node.memcgs };
    node
}

/// A few memcgs by page cache.
fn usual() -> Node {
    let mut node = healthy();
    node.release = "5.10.0-35-cloud-amd64".to_owned();
    node.memcgs = Memcgs {
        dying: Some(310),
        staying: Some(301),
        held_bytes: Some(300 << 20),
        hints: BTreeMap::from([(Hint::PageCache, 290), (Hint::Reference, 11)]),
        ..node.memcgs
    };
    node
}

fn severity(diagnosis: &Diagnosis, what: What) -> Option<Severity> {
    diagnosis.findings.iter().find(|finding| finding.what == what).map(|finding| finding.severity)
}

fn remedies(diagnosis: &Diagnosis) -> Vec<RemedyKind> {
    diagnosis.remedies.iter().map(|remedy| remedy.remedy).collect()
}

#[test]
fn who_is_sick() {
    let with = |change: fn(&mut Node)| {
        let mut node = healthy();
        change(&mut node);
        node
    };
    let cases: Vec<(Node, What, Severity)> = vec![
        (healthy(), What::Dying, Severity::Good),
        (usual(), What::Dying, Severity::Note),
        (with(|node| node.memcgs.staying = Some(999)), What::Dying, Severity::Note),
        (with(|node| node.memcgs.staying = Some(1_000)), What::Dying, Severity::Sick),
        // Many that come and go are no leak.
        (with(|node| node.memcgs.dying = Some(5_000)), What::Dying, Severity::Good),
        (with(|node| node.memcgs.staying = None), What::Dying, Severity::Unknown),
        (with(|node| node.memcgs.ids_used = Some(32_768)), What::MemcgIds, Severity::Note),
        (with(|node| node.memcgs.ids_used = Some(58_982)), What::MemcgIds, Severity::Sick),
        (with(|node| node.memcgs.ids_used = None), What::MemcgIds, Severity::Unknown),
        // Every live memcg has an ID, so it is sick whatever the dying ones have.
        (
            with(|node| (node.memcgs.ids_used, node.memcgs.live) = (None, Some(60_000))),
            What::MemcgIds,
            Severity::Sick,
        ),
        (with(|node| node.memcgs.held_bytes = Some(700 << 20)), What::HeldMemory, Severity::Good),
        (with(|node| node.memcgs.held_bytes = Some(900 << 20)), What::HeldMemory, Severity::Sick),
        (with(|node| node.memcgs.empty = Some(6_000)), What::Empty, Severity::Note),
        (with(|node| node.slab_caches = Some(9_000)), What::SlabCaches, Severity::Note),
        (not_memory(), What::OtherControllers, Severity::Sick),
        (with(|node| node.mkdir_errno = Some(16)), What::Mkdir, Severity::Sick),
        (with(|node| node.hooks_fired = Some(false)), What::Hooks, Severity::Unknown),
        (with(|node| node.memcgs.agrees = Some(false)), What::Counts, Severity::Unknown),
    ];
    for (node, what, expected) in cases {
        let diagnosis = diagnose(&node, &LIMITS);
        assert_eq!(severity(&diagnosis, what), Some(expected), "{what:?}: {:?}", diagnosis.findings);
        assert_eq!(diagnosis.sick, expected == Severity::Sick, "{what:?}");
        assert_eq!(diagnosis.conclusive, expected != Severity::Unknown, "{what:?}");
    }
}

/// As many dying by the other controllers: the memcgs keep their cgroups, and those have csses of all of them.
#[test]
fn memory_is_to_blame_where_it_is() {
    let mut node = usual();
    node.dying_by_controller = BTreeMap::from([("io".to_owned(), 301), ("memory".to_owned(), 301)]);
    assert_eq!(severity(&diagnose(&node, &LIMITS), What::OtherControllers), None);
}

#[test]
fn remedies_come_in_order_of_risk() {
    use RemedyKind::*;
    let table: Vec<(Node, &[RemedyKind])> = vec![
        (healthy(), &[]),
        (usual(), &[Find]),
        (exhausted(), &[Find, RemoveFiles, RestartOwners, Swapoff, Upgrade, Reboot]),
        (not_memory(), &[Find, LookElsewhere, Upgrade, Reboot]),
        (seed(), &[Find, RuntimeNokmem, Nokmem, Upgrade, Reboot]),
    ];
    for (node, expected) in table {
        let found = remedies(&diagnose(&node, &LIMITS));
        assert_eq!(found, expected, "{}", node.release);
        assert!(found.is_sorted());
    }
}

/// By references: 290 memcgs with two files each, 8 with a task, 3 with a leaked network namespace.
fn with_evidence(node: Node) -> Node {
    let pinned = |pin, refs, things| {
        let by = PinnedBy { pin, refs, things, what: None, holder: None, holders: 0 };
        Pinned { refs, explained: refs, complete: true, by: vec![by] }
    };
    let files = std::iter::repeat_n(pinned(Pin::File, 40, 2), 290);
    let tasks = std::iter::repeat_n(pinned(Pin::Task, 1, 1), 8);
    let namespaces = std::iter::repeat_n(pinned(Pin::NetNamespace, 9, 1), 3);
    let pinned = Some(files.chain(tasks).chain(namespaces).collect());
    Node { memcgs: Memcgs { pinned, ..node.memcgs }, ..node }
}

/// What refers to memcgs tells a task from a namespace; their counters do not.
#[test]
fn evidence_goes_before_hints() {
    use RemedyKind::*;
    let node = with_evidence(usual());
    let diagnosis = diagnose(&node, &LIMITS);
    let dying = diagnosis.findings.iter().find(|finding| finding.what == What::Dying).expect("a finding");
    assert!(
        dying.text.ends_with("; pinned by file (290), task (8), network namespace (3)"),
        "{}",
        dying.text
    );
    let lru_pins = diagnosis.known.iter().find(|known| known.bug.id == "lru-pins").expect("a bug of 5.10");
    assert_eq!(lru_pins.here, Some(290));
    let swap_ids = diagnosis.known.iter().find(|known| known.bug.id == "swap-ids").expect("a bug of 5.10");
    assert_eq!(swap_ids.here, Some(0));
    assert_eq!(remedies(&diagnosis), [Find, Explain]);
    let mut sick = node;
    sick.memcgs.staying = Some(1_000);
    let expected = [Find, Explain, ReapCache, RemoveNamespaces, Reap, DropCaches, Upgrade, Reboot];
    assert_eq!(remedies(&diagnose(&sick, &LIMITS)), expected);
}

/// What nothing would show is prevented on a node that looks well; booted with nokmem it has been.
#[test]
fn the_seeds_bug_is_prevented() {
    let mut node = healthy();
    node.release = seed().release;
    let prevented = [RemedyKind::RuntimeNokmem, RemedyKind::Nokmem, RemedyKind::Upgrade];
    assert_eq!(remedies(&diagnose(&node, &LIMITS)), prevented);
    node.kmem.nokmem = true;
    assert_eq!(remedies(&diagnose(&node, &LIMITS)), []);
}

fn ability(what: &str, answer: Answer) -> Ability {
    Ability { what: what.to_owned(), answer }
}

/// Both formats.
fn print(name: &str, controller: Option<&str>, abilities: &[Ability], node: Option<&Node>) -> Verdict {
    let diagnosis = node.map(|node| diagnose(node, &LIMITS));
    let release = node.map_or("6.12.9", |node| &node.release);
    let backend = controller.map(|_| Backend::Kprobe);
    let controller = controller.map(str::to_owned);
    let view = DoctorView::new(release, controller, backend, abilities, node.zip(diagnosis.as_ref()));
    let (mut text, mut json) = (Vec::new(), Vec::new());
    text::doctor(&mut text, &view, Color::Off).expect("a Vec takes all");
    json::doctor(&mut json, &view).expect("a Vec takes all");
    check_json(&json);
    check_text(&text, Color::Off);
    compare(&format!("doctor-{name}.txt"), &text);
    compare(&format!("doctor-{name}.jsonl"), &json);
    view.verdict
}

#[test]
fn golden_output() {
    let works = [
        ability("privileges", Answer::yes("CAP_SYS_ADMIN")),
        ability("kernel not locked down", Answer::unknown("/sys/kernel/security/lockdown cannot be read")),
        ability("kprobe backend", Answer::no(&AttachError::KprobesOff)),
    ];
    let table = [
        ("healthy", healthy(), Verdict::Healthy),
        ("seed", seed(), Verdict::Sick),
        ("exhausted", exhausted(), Verdict::Sick),
        ("not-memory", not_memory(), Verdict::Sick),
        ("usual", usual(), Verdict::Healthy),
        ("evidence", with_evidence(usual()), Verdict::Healthy),
    ];
    for (name, node, verdict) in table {
        let controller = match node.version {
            Some(Version::V1) => "cgroup v1 at /sys/fs/cgroup/memory",
            _ => "cgroup v2 at /sys/fs/cgroup",
        };
        assert_eq!(print(name, Some(controller), &works, Some(&node)), verdict, "{name}");
    }
    let lacks = [ability("memory controller", Answer::no(&ControllerError::Disabled))];
    assert_eq!(print("no-controller", None, &lacks, None), Verdict::Unsupported);
}
