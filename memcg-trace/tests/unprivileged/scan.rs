//! Golden output of `scan`: hand-made walks, through the real ledger, into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged scan` writes the files anew; read the difference before committing it.

use std::collections::HashMap;

use memcg_trace::{
    attribution::{Container, container_of_path},
    cause::{Pin, Pinned, PinnedBy},
    event::Key,
    kernel::cgroupfs::cgroup_stat::KernelCounts,
    record::{Backend, CacheCopies, Learned, PinsRead, Record, Snapshot, Version, WalkMeans},
    report::{
        json,
        text::{self, Color, Page},
        view::{Accounting, By, ScanRequest, ScanView, Scanned, Selection, Sort},
    },
    tracker::{Memcg, Tracker, TrackerConfig},
};
use memcg_trace_common::{Charges, Field, Kind};

use crate::{
    compare::{ID, UID, VIEWPOINT, WIDTHS, check_json, check_text, check_width, compare},
    events::{Css, Fired, MS, css, key},
};

const PAGE: u64 = 4096;

const DYING: ScanRequest = ScanRequest { selection: Selection::Dying, by: None, sort: Sort::Age, top: None };

/// A walk, and what is said beside it.
struct Scan {
    snapshot: Snapshot,
    scanned: Scanned,
    learned: Vec<Record>,
}

impl Scan {
    /// The root and these memcgs, and a kernel that counts as many.
    fn of(version: Version, memcgs: impl IntoIterator<Item = Fired>) -> Self {
        let root = css(1, "");
        let root = Css { level: 0, parent: None, cgroup_id: 1, ..root };
        let memcgs = [root.walked()].into_iter().chain(memcgs);
        let events: Vec<_> = memcgs.map(|fired| fired.at(9_000)).collect();
        let cgroups = Some(events.len() as u64);
        let snapshot = Snapshot { began_ns: 8_995 * MS, ended_ns: 9_000 * MS, events, ..Snapshot::default() };
        let scanned = Scanned {
            backend: WalkMeans::Program,
            walked: snapshot.clone().into(),
            accounting: Accounting { version, swap: true, page_bytes: PAGE },
            counted: KernelCounts { cgroups, ..KernelCounts::default() },
            agrees: Some(true),
            walks: 1,
            moved: 0,
            empty: HashMap::new(),
            names_missing: None,
            unknown: Vec::new(),
        };
        Self { snapshot, scanned, learned: Vec::new() }
    }

    /// Both formats of one request.
    fn compare(&self, name: &str, request: ScanRequest) {
        let config = TrackerConfig {
            backend: Backend::Kprobe,
            grace_ns: u64::MAX,
            live_at_start: Some(0),
            paths: HashMap::new(),
        };
        let mut tracker = Tracker::new(config);
        tracker.walked(&self.snapshot, &mut Vec::new());
        self.learned.iter().for_each(|record| tracker.apply(record, &mut Vec::new()));
        let view = ScanView::new(&self.scanned, &tracker, VIEWPOINT, request, container_of);
        let (mut text, mut json) = (Vec::new(), Vec::new());
        text::scan(&mut text, &view, Color::Off).expect("a Vec takes all");
        json::scan(&mut json, &view).expect("a Vec takes all");
        check_json(&json);
        check_text(&text, Color::Off);
        compare(&format!("scan-{name}.txt"), &text);
        compare(&format!("scan-{name}.jsonl"), &json);
        for width in WIDTHS.into_iter().filter(|_| ["dying", "many"].contains(&name)) {
            let mut text = Vec::new();
            text::scan(&mut text, &view, Page::terminal(Color::Off, width)).expect("a Vec takes all");
            check_width(&text, width);
            compare(&format!("scan-{name}-{width}.txt"), &text);
        }
    }
}

fn container_of(memcg: &Memcg) -> Option<Container> {
    memcg.path.as_deref().and_then(container_of_path)
}

fn measured(mut fired: Fired, pages: u64, css_refs: Option<u64>) -> Fired {
    fired.header.charged_pages = pages;
    fired.header.known |= Field::CHARGED;
    if let Some(refs) = css_refs {
        fired.header.css_refs = refs;
        fired.header.known |= Field::CSS_REFS;
    }
    fired
}

/// Dying, and its swapped-out pages hold its ID.
fn swapped(css: &Css, pages: u32) -> Fired {
    let mut fired = css.walked_dying();
    (fired.header.memcg_id, fired.header.id_refs) = (css.memcg_id, pages);
    fired
}

fn charges(swap_pages: u64, kinds: &[(Kind, i64)]) -> Charges {
    let mut charges = Charges { known: Charges::SWAP, swap_pages, ..Charges::UNKNOWN };
    for (kind, value) in kinds {
        charges.kinds[*kind as usize] = *value;
        charges.known |= 1 << *kind as u32;
    }
    charges
}

/// A pod with one live and two dying containers, of which one has a dying child; a service whose ID swap holds; a dying
/// memcg of which little is known; a forgotten scope.
fn node() -> Scan {
    let pod = css(10, format!("pod{UID}"));
    let live = css(20, "init").below(&pod);
    let container = css(21, ID).below(&pod);
    let child = css(22, "init.scope").below(&container);
    let service = css(23, "batch.service");
    let hostile = css(24, b"\x1b[2Jred\xff");
    let scope = css(25, "run-r1.scope");
    let mut scan = Scan::of(
        Version::V2,
        [
            measured(pod.walked(), 900, None),
            measured(live.walked(), 100, None),
            measured(service.walked(), 0, None),
            measured(container.walked_dying(), 300, Some(1)),
            measured(child.walked_dying(), 256, Some(256)),
            measured(swapped(&service.next_generation(30), 6146), 64, Some(17)),
            hostile.walked_dying(),
            measured(scope.walked(), 0, None),
        ],
    );
    scan.scanned.counted = KernelCounts {
        cgroups: Some(9),
        dying_cgroups: Some(3),
        live_memcgs: Some(5),
        dying_memcgs: Some(4),
    };
    scan.scanned.walked.charges = foldhash::HashMap::from_iter([
        (
            container.key,
            charges(0, &[(Kind::File, 290), (Kind::Shmem, 256), (Kind::Anon, 4), (Kind::Percpu, 640)]),
        ),
        (child.key, charges(0, &[(Kind::File, 256), (Kind::Shmem, 256)])),
        (key(30), charges(6146, &[(Kind::PageTables, 15), (Kind::KernelStack, 16)])),
    ]);
    scan.scanned.empty = HashMap::from([(scope.key, Some(7_500_000 * MS))]);
    scan
}

#[test]
fn dying() {
    node().compare("dying", DYING);
    node().compare("charged", ScanRequest { sort: Sort::Charged, top: Some(2), ..DYING });
}

#[test]
fn all() {
    node().compare("all", ScanRequest { selection: Selection::All, sort: Sort::Path, ..DYING });
}

/// A person gets 20 rows, a pipe all.
#[test]
fn many() {
    let above = css(10, "docker");
    let dying = (100..125).map(|serial| {
        let container = css(serial, format!("{serial:064x}")).below(&above);
        measured(container.walked_dying(), 3, Some(2))
    });
    Scan::of(Version::V1, [above.walked()].into_iter().chain(dying)).compare("many", DYING);
}

/// From 7.1 on: the pages of a removed file went to the parent, and stay in the counter of the dead.
#[test]
fn charged_is_not_held() {
    let tmpfs = css(20, "tmpfs");
    let thp = css(21, "thp");
    let small = css(22, "small");
    let scan = [
        measured(tmpfs.walked_dying(), 51_302, Some(1)),
        measured(thp.walked_dying(), 5_120, Some(10)),
        measured(small.walked_dying(), 256, Some(256)),
    ];
    Scan::of(Version::V2, scan).compare("stale", DYING);
}

#[test]
fn empty() {
    node().compare("empty", ScanRequest { selection: Selection::Empty, ..DYING });
    // On v1, with page cache that would make a zombie of each; nobody looked at these directories before.
    let cached = (20..23).map(|serial| (key(serial), css(serial, format!("job{serial}"))));
    let walked = cached.clone().map(|(_, css)| measured(css.walked(), 256, None));
    let mut scan = Scan::of(Version::V1, walked);
    scan.scanned.empty = cached.map(|(key, _)| (key, None)).collect();
    scan.compare("empty-charged", ScanRequest { selection: Selection::Empty, ..DYING });
}

#[test]
fn groups() {
    for (name, by) in [
        ("container", By::Container),
        ("pod", By::Pod),
        ("parent", By::Parent),
        ("state", By::State),
        ("workload", By::Workload),
        ("namespace", By::Namespace),
        ("image", By::Image),
        ("runtime", By::Runtime),
        ("unit", By::Unit),
    ] {
        node()
            .compare(&format!("by-{name}"), ScanRequest { by: Some(by), selection: Selection::All, ..DYING });
    }
}

#[test]
fn clean() {
    let scan =
        Scan::of(Version::V1, [css(10, "system.slice").walked(), css(11, "unfinished").walked_unfinished()]);
    scan.compare("clean", DYING);
}

#[test]
fn the_kernel_counts_otherwise() {
    let mut scan = Scan::of(Version::V1, [css(10, "a").walked_dying()]);
    scan.scanned.counted.cgroups = Some(5);
    (scan.scanned.agrees, scan.scanned.walks) = (Some(false), 4);
    scan.scanned.unknown = vec![("what memcgs are charged for".to_owned(), "no symbol".to_owned())];
    scan.compare("differs", DYING);
    // On the move, and as far as that goes in agreement.
    (scan.scanned.agrees, scan.scanned.walks, scan.scanned.moved) = (Some(true), 2, 3);
    scan.compare("moved", DYING);
    (scan.scanned.agrees, scan.scanned.walks, scan.scanned.moved) = (None, 1, 0);
    scan.compare("not-comparable", DYING);
}

/// 3.10: a zombie's cgroup is gone, and with it the path; what holds it has a name.
#[test]
fn pinned_by_slab_caches() {
    let lost = Field::SERIAL | Field::CGROUP_ID | Field::LEVEL | Field::NAME | Field::ID_REFS;
    let old = |serial| Css { key: Key { serial: 0, ..key(serial) }, ..css(serial, "") };
    let zombie = |css: &Css| {
        let parent = Field::PARENT | Field::PARENT_SERIAL | Field::PARENT_CGROUP_ID;
        css.walked_dying().memcg_id(css.memcg_id, 0).without(lost | parent)
    };
    let zombies = [old(20), old(21), old(22)];
    let mut scan = Scan::of(Version::V1, zombies.iter().map(zombie));
    scan.scanned.backend = WalkMeans::Ids;
    let names: [&[&[u8]]; 2] =
        [&[b"anon_vma(0:web)", b"sighand_cache(0:web)"], &[b"sighand_cache(1:a\x1bb)"]];
    let names = names.map(|names| names.iter().map(|name| Box::from(*name)).collect());
    let of = zombies.iter().map(|css| css.key).zip(names).collect();
    scan.learned = vec![Record::Learned(Learned::Copies(CacheCopies { t_ns: 9_001 * MS, hold: true, of }))];
    scan.compare("pinned", DYING);
}

/// 4.19: a memcg has slab caches of its own, but what refers to it is told.
#[test]
fn pinned_with_slab_caches() {
    let zombie = css(20, "web");
    let mut scan = Scan::of(Version::V1, [zombie.walked_dying()]);
    let names = vec![Box::from(&b"dentry(12:web)"[..])];
    let copies = CacheCopies { t_ns: 9_001 * MS, hold: false, of: vec![(zombie.key, names)] };
    let what = Some(Box::from(&b"dentry(12:web)"[..]));
    let by = PinnedBy { pin: Pin::SlabCache, refs: 3, things: 1, what, holder: None, holders: 0 };
    let pinned = Pinned { refs: 3, explained: 3, complete: true, by: vec![by] };
    let pins = PinsRead { t_ns: 9_002 * MS, of: vec![(zombie.key, pinned)] };
    scan.learned = vec![Record::Learned(Learned::Copies(copies)), Record::Learned(Learned::Pins(pins))];
    scan.compare("pinned-with-caches", DYING);
}
