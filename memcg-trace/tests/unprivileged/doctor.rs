//! What `doctor` makes of nodes: hand-made facts, through the diagnosis, into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged doctor` writes the files anew; read the difference before committing it.

mod wording;

use std::collections::BTreeMap;

use memcg_trace::{
    cause::{Hint, Pin, Pinned, PinnedBy},
    diagnosis::{Diagnosis, FindingKind, Limits, Memcgs, Node, RemedyKind, Severity, Trend, diagnose},
    kernel::{
        ability::{Ability, AbilityId, Answer},
        cgroupfs::hierarchy::ControllerError,
        confinement::Confinement,
        hooks::attach::AttachError,
    },
    record::{Backend, Kmem, Version},
    report::{
        json,
        text::{self, Color, Page},
        view::{DoctorView, NodeVerdict},
    },
};

use crate::compare::{WIDTHS, check_json, check_text, check_width, compare};

/// A kernel with Landlock.
const CONFINED: Option<Confinement> =
    Some(Confinement { no_new_privs: true, seccomp: true, bounding_set_empty: true, landlock_abi: Some(4) });
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
            held_bytes_max: Some(0),
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
        held_bytes_max: Some(1 << 30),
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
        held_bytes_max: Some(420 << 20),
        hints: BTreeMap::from([(Hint::PageCache, 290), (Hint::Reference, 11)]),
        ..node.memcgs
    };
    node
}

fn severity(diagnosis: &Diagnosis, what: FindingKind) -> Option<Severity> {
    diagnosis.findings.iter().find(|finding| finding.what == what).map(|finding| finding.severity)
}

fn remedies(diagnosis: &Diagnosis) -> Vec<RemedyKind> {
    diagnosis.remedies.iter().map(|remedy| remedy.remedy).collect()
}

/// No live cgroup is charged for kernel memory, but dying ones were.
#[test]
fn kernel_memory_of_dying_memcgs() {
    let mut node = seed();
    (node.kmem.charged, node.kmem.containers_charged) = (0, 0);
    let text = |node: &Node| {
        let findings = diagnose(node, &LIMITS).findings;
        findings.into_iter().find(|finding| finding.what == FindingKind::Kmem).expect("a finding").text
    };
    let unseen = "not seen: none of 411 cgroups is charged for any; in none of 250 containers: their runtime does not enable it";
    assert_eq!(text(&node), unseen);
    node.memcgs.hints = BTreeMap::from([(Hint::SlabCaches, 2)]);
    let pins =
        "accounted for: slab caches of their own pin 2 dying memcgs; none of 411 cgroups is charged for any";
    assert_eq!(text(&node), pins);
}

#[test]
fn who_is_sick() {
    let with = |change: fn(&mut Node)| {
        let mut node = healthy();
        change(&mut node);
        node
    };
    let cases: Vec<(Node, FindingKind, Severity)> = vec![
        (healthy(), FindingKind::Dying, Severity::Good),
        (usual(), FindingKind::Dying, Severity::Note),
        (with(|node| node.memcgs.staying = Some(999)), FindingKind::Dying, Severity::Note),
        (with(|node| node.memcgs.staying = Some(1_000)), FindingKind::Dying, Severity::Sick),
        // Many that come and go are no leak.
        (with(|node| node.memcgs.dying = Some(5_000)), FindingKind::Dying, Severity::Good),
        (with(|node| node.memcgs.staying = None), FindingKind::Dying, Severity::Unknown),
        (with(|node| node.memcgs.ids_used = Some(32_768)), FindingKind::MemcgIds, Severity::Note),
        (with(|node| node.memcgs.ids_used = Some(58_982)), FindingKind::MemcgIds, Severity::Sick),
        (with(|node| node.memcgs.ids_used = None), FindingKind::MemcgIds, Severity::Unknown),
        // Every live memcg has an ID, so it is sick whatever the dying ones have.
        (
            with(|node| (node.memcgs.ids_used, node.memcgs.live) = (None, Some(60_000))),
            FindingKind::MemcgIds,
            Severity::Sick,
        ),
        (with(|node| node.memcgs.held_bytes = Some(700 << 20)), FindingKind::HeldMemory, Severity::Good),
        (with(|node| node.memcgs.held_bytes = Some(900 << 20)), FindingKind::HeldMemory, Severity::Sick),
        // As many references, and each may be one of a huge page.
        (with(|node| node.memcgs.held_bytes_max = Some(900 << 20)), FindingKind::HeldMemory, Severity::Note),
        (with(|node| node.memcgs.empty = Some(6_000)), FindingKind::Empty, Severity::Note),
        (with(|node| node.slab_caches = Some(9_000)), FindingKind::SlabCaches, Severity::Note),
        (not_memory(), FindingKind::OtherControllers, Severity::Sick),
        (with(|node| node.mkdir_errno = Some(16)), FindingKind::Mkdir, Severity::Sick),
        (with(|node| node.hooks_fired = Some(false)), FindingKind::Hooks, Severity::Unknown),
        (with(|node| node.memcgs.agrees = Some(false)), FindingKind::Counts, Severity::Unknown),
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
    assert_eq!(severity(&diagnose(&node, &LIMITS), FindingKind::OtherControllers), None);
}

/// Every line of cgroup.stat counts: cgroups that no controller keeps, and those of a controller that is named.
#[test]
fn what_keeps_cgroups_is_named() {
    let by = |counts: &[(&str, u64)], staying| {
        let mut node = healthy();
        node.dying_by_controller = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        (node.memcgs.dying, node.memcgs.staying) = (Some(staying), Some(staying));
        let diagnosis = diagnose(&node, &LIMITS);
        let finding =
            diagnosis.findings.into_iter().find(|finding| finding.what == FindingKind::OtherControllers);
        finding.map(|finding| (finding.severity, finding.text))
    };
    type Case<'a> = (&'a [(&'a str, u64)], u64, Option<(Severity, &'a str)>);
    let cases: [Case<'_>; 8] = [
        (
            &[("cgroup", 1_100), ("memory", 0), ("pids", 0)],
            0,
            Some((
                Severity::Sick,
                "not memory: 1,100 cgroups are dying without any controller in them, and only 0 memcgs",
            )),
        ),
        (
            &[("cgroup", 140), ("io", 40), ("memory", 4)],
            4,
            Some((
                Severity::Note,
                "not memory: 100 cgroups are dying without any controller in them, and only 4 memcgs (by controller: io 40)",
            )),
        ),
        (
            &[("cgroup", 5_000), ("io", 5_000), ("pids", 30), ("memory", 4)],
            4,
            Some((
                Severity::Sick,
                "not memory: 5,000 cgroups are dying by io, and only 4 memcgs (by controller: io 5,000, pids 30)",
            )),
        ),
        (
            &[("cgroup", 50)],
            0,
            Some((
                Severity::Note,
                "not memory: 50 cgroups are dying by an unknown controller, and only 0 memcgs",
            )),
        ),
        (&[("cgroup", 301), ("memory", 301), ("io", 301)], 301, None),
        (&[("cgroup", 9), ("memory", 0)], 0, None),
        // Only many more than memcgs are another's.
        (&[("io", 12), ("memory", 6)], 6, None),
        (
            &[("io", 13), ("memory", 6)],
            6,
            Some((Severity::Note, "not memory: 13 cgroups are dying by io, and only 6 memcgs")),
        ),
    ];
    for (counts, staying, expected) in cases {
        let expected = expected.map(|(severity, text)| (severity, text.to_owned()));
        assert_eq!(by(counts, staying), expected, "{counts:?}");
    }
}

/// Nothing is dying: the first step is about what there is.
#[test]
fn a_remedy_follows_from_what_was_found() {
    let first = |change: fn(&mut Node)| {
        let mut node = healthy();
        change(&mut node);
        diagnose(&node, &LIMITS).remedies.first().map(|remedy| remedy.action.clone()).unwrap_or_default()
    };
    assert!(first(|node| node.memcgs.ids_used = Some(60_000)).contains("scan --all"));
    assert!(first(|node| node.slab_caches = Some(9_000)).contains("slab --watch"));
    assert!(
        first(|node| (node.memcgs.dying, node.memcgs.staying) = (Some(9), Some(9)))
            .contains("scan --by container")
    );
    assert!(first(|node| (node.memcgs.dying, node.memcgs.staying) = (None, None)).is_empty());
}

/// A handful of IDs more at the second look than at the first is no forecast.
#[test]
fn two_looks_and_a_few_ids_are_no_trend() {
    let forecast = |ids| {
        let mut node = healthy();
        node.trend =
            Some(Trend { span_ns: 10_000_000_000, dying: Some(0), ids: Some(ids), slab_caches: None });
        let findings = diagnose(&node, &LIMITS).findings;
        findings.iter().any(|finding| finding.text.contains("mkdir fails"))
    };
    assert_eq!([-5, 0, 1, 9, 10, 500].map(forecast), [false, false, false, false, true, true]);
}

#[test]
fn remedies_come_in_order_of_risk() {
    use RemedyKind::*;
    let refused = Node { mkdir_errno: Some(16), ..healthy() };
    let table: Vec<(Node, &[RemedyKind])> = vec![
        (healthy(), &[]),
        (refused, &[Find, Reboot]),
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
    let dying =
        diagnosis.findings.iter().find(|finding| finding.what == FindingKind::Dying).expect("a finding");
    assert!(
        dying.text.ends_with("; pinned by file (290), task (8), network namespace (3)"),
        "{}",
        dying.text
    );
    let lru_pins = diagnosis.known.iter().find(|known| known.bug.id == "lru-pins").expect("a bug of 5.10");
    assert_eq!(lru_pins.here, Some(290));
    let swap_ids = diagnosis.known.iter().find(|known| known.bug.id == "swap-ids").expect("a bug of 5.10");
    assert_eq!(swap_ids.here, Some(0));
    assert_eq!(remedies(&diagnosis), [Find, Explain, ReapCache]);
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

fn ability(id: AbilityId, answer: Answer) -> Ability {
    Ability { id, answer }
}

/// Both formats.
fn print(name: &str, controller: Option<&str>, abilities: &[Ability], node: Option<&Node>) -> NodeVerdict {
    let diagnosis = node.map(|node| diagnose(node, &LIMITS));
    let release = node.map_or("6.12.9", |node| &node.release);
    let backend = controller.map(|_| Backend::Kprobe);
    let controller = controller.map(str::to_owned);
    let view =
        DoctorView::new(release, controller, backend, abilities, CONFINED, node.zip(diagnosis.as_ref()));
    let (mut text, mut json) = (Vec::new(), Vec::new());
    text::doctor(&mut text, &view, Color::Off).expect("a Vec takes all");
    json::doctor(&mut json, &view).expect("a Vec takes all");
    check_json(&json);
    check_text(&text, Color::Off);
    compare(&format!("doctor-{name}.txt"), &text);
    compare(&format!("doctor-{name}.jsonl"), &json);
    let mut line = Vec::new();
    text::npd(&mut line, &view).expect("a Vec takes all");
    assert!(line.len() <= 81 && line.iter().filter(|byte| **byte == b'\n').count() == 1, "{name}");
    compare(&format!("doctor-{name}.npd"), &line);
    for width in WIDTHS.into_iter().filter(|_| name == "exhausted") {
        let mut text = Vec::new();
        text::doctor(&mut text, &view, Page::terminal(Color::Off, width)).expect("a Vec takes all");
        check_width(&text, width);
        compare(&format!("doctor-{name}-{width}.txt"), &text);
    }
    view.verdict
}

#[test]
fn golden_output() {
    let works = [
        ability(AbilityId::Privileges, Answer::yes("CAP_SYS_ADMIN")),
        ability(
            AbilityId::Confinement,
            Answer::yes("no_new_privs, seccomp filter, empty bounding set, Landlock ABI 4"),
        ),
        ability(AbilityId::Lockdown, Answer::unknown("/sys/kernel/security/lockdown cannot be read")),
        ability(AbilityId::Backend(Backend::Kprobe), Answer::no(&AttachError::KprobesOff)),
    ];
    let table = [
        ("healthy", healthy(), NodeVerdict::Healthy),
        ("seed", seed(), NodeVerdict::Sick),
        ("exhausted", exhausted(), NodeVerdict::Sick),
        ("not-memory", not_memory(), NodeVerdict::Sick),
        ("usual", usual(), NodeVerdict::Healthy),
    ];
    for (name, node, verdict) in table {
        let controller = match node.version {
            Some(Version::V1) => "cgroup v1 at /sys/fs/cgroup/memory",
            _ => "cgroup v2 at /sys/fs/cgroup",
        };
        assert_eq!(print(name, Some(controller), &works, Some(&node)), verdict, "{name}");
    }
    let lacks = [ability(AbilityId::Hierarchy, Answer::no(&ControllerError::Disabled))];
    assert_eq!(print("no-controller", None, &lacks, None), NodeVerdict::Unsupported);
}
