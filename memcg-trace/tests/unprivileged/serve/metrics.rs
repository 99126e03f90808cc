//! The pages of a node where things go wrong, against golden files; and what must hold for any page.

use std::collections::BTreeSet;

use memcg_trace::{
    attribution::{FactSource, Facts, Role},
    cause::{Pin, Pinned, PinnedBy},
    record::{Learned, PinsRead, Record, Snapshot, Start, Version},
    report::{
        json,
        metrics::{MetricsFacts, MetricsFormat, MetricsView, OwnCost, SlabCounts, encode, families},
        view::{Accounting, LeaksView},
    },
    session::{Book, Observer as _, RunTally},
};
use memcg_trace_common::{Charges, Field, Hook};

use crate::{
    compare::compare,
    events::{Css, Fired, MS, css, start},
};

const GRACE_MS: u64 = 30_000;

/// A book that is fed by hand, with its tally.
struct Node {
    book: Book,
    tally: RunTally,
    top: usize,
    pins: BTreeSet<Pin>,
}

impl Node {
    fn new() -> Self {
        let start = Start { kernel: "6.12.118 \"quoted\"\\\n".to_owned(), perf_pages: 64, ..start() };
        Self { book: Book::new(start, None), tally: RunTally::default(), top: 5, pins: BTreeSet::new() }
    }

    fn record(&mut self, record: &Record) {
        self.book.apply(record);
        self.tally.changed(&self.book, self.book.changes()).expect("a tally takes all");
        if let Record::Walk(walk) = record {
            self.tally.walked(&self.book, walk).expect("a tally takes all");
        }
    }

    fn at(&mut self, ms: u64, fired: Fired) {
        self.record(&Record::Event(fired.at(ms)));
    }

    fn time(&mut self, ms: u64) {
        self.book.advance(ms * MS);
        self.tally.changed(&self.book, self.book.changes()).expect("a tally takes all");
        let _ = self.tally.tick(&self.book).expect("a tally takes all");
    }

    /// A memcg that is made, named and removed, and stays with so many pages.
    fn dies(&mut self, ms: u64, css: &Css, facts: Option<Facts>, pages: u64) {
        self.at(ms, css.online());
        if let Some(facts) = facts {
            self.record(&Record::Learned(Learned::Names { key: css.key, facts: vec![facts] }));
        }
        self.at(ms + 10, css.rmdir());
        self.at(ms + 10, css.offline_enter());
        self.at(ms + 11, charged(css.offline_id_released(), pages));
    }

    fn pinned(&mut self, css: &Css, pin: Pin, refs: u64) {
        let by = PinnedBy { pin, refs, things: 1, what: None, holder: None, holders: 0 };
        let pinned = Pinned { refs, explained: refs, complete: true, by: vec![by] };
        let read = PinsRead { t_ns: self.book.now_ns(), of: vec![(css.key, pinned)] };
        self.record(&Record::Learned(Learned::Pins(read)));
    }

    fn view(&mut self) -> MetricsView {
        let facts = MetricsFacts {
            top: self.top,
            accounting: Some(Accounting { version: Version::V2, swap: true, page_bytes: 4096 }),
            node_memory_bytes: Some(8 << 30),
            slab: Some(SlabCounts { caches: 160, leaked: 2 }),
            own: OwnCost {
                cpu_seconds: Some(1.25),
                resident_bytes: Some(20 << 20),
                started_s: Some(1_700_000_001.5),
                open_files: Some(17),
            },
        };
        MetricsView::new(&self.book, &mut self.tally, facts, &mut self.pins)
    }

    fn page(&mut self, format: MetricsFormat) -> String {
        let mut page = Vec::new();
        encode(&mut page, &families(&self.view()), format).expect("a Vec takes all");
        String::from_utf8(page).expect("a page is UTF-8")
    }

    fn value(&mut self, series: &str) -> Option<f64> {
        let page = self.page(MetricsFormat::Classic);
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }
}

fn charged(mut fired: Fired, pages: u64) -> Fired {
    fired.header.charged_pages = pages;
    fired.header.css_refs = pages;
    fired.header.known |= Field::CHARGED | Field::CSS_REFS;
    fired
}

fn of_pod(pod: &str, namespace: &str, name: &str) -> Facts {
    Facts {
        pod: Some(pod.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        role: Some(Role::Workload),
        ..Facts::of(FactSource::Bundle)
    }
}

/// The cgroup of a container, by its id.
fn container(serial: u64) -> Css {
    css(serial, format!("cri-containerd-{serial:064x}.scope"))
}

/// A CronJob whose pods leak, a container with a hostile name, a unit, and what no name is known for.
fn sick() -> Node {
    let mut node = Node::new();
    let old = css(10, "old.service");
    let walk = |ms: u64, css: &Css| {
        let mut charges = Charges { known: u32::MAX, ..Charges::UNKNOWN };
        charges.kinds = [30, 4, 20, 4096, 4096, 1, 0, 0, 0, 0, 0];
        charges.swap_pages = 2;
        let event = charged(css.walked_dying(), 40).at(ms);
        let snapshot = Snapshot {
            began_ns: ms * MS - MS,
            ended_ns: ms * MS,
            events: vec![event],
            charges: [(css.key, charges)].into_iter().collect(),
        };
        Record::Walk(snapshot)
    };
    node.record(&walk(1_100, &old));
    for (serial, pod) in (20..).zip(["backup-28374650-x7kzq", "backup-28374651-b2b4c"]) {
        let css = container(serial);
        node.dies(2_000 + serial, &css, Some(of_pod(pod, "prod", "dump")), 100);
        node.pinned(&css, Pin::Tmpfs, 100);
    }
    let hostile = "x\"} 1\nfake_metric{y=\"\\\u{202e}";
    let facts = Facts { name: Some(hostile.to_owned()), ..Facts::of(FactSource::DockerConfig) };
    node.dies(3_000, &container(30), Some(facts), 5);
    node.dies(4_000, &css(40, b"bytes-\xff\xfe.service"), None, 1);
    node.dies(5_000, &container(50), None, 1);
    node.time(40_000);
    // One of the CronJob goes late, another memcg at once.
    let late = container(20);
    node.at(50_000, late.released());
    node.at(50_000, late.free());
    let quick = css(60, "quick.service");
    node.dies(50_500, &quick, None, 0);
    node.at(50_530, quick.free());
    node.at(51_000, css(1, "").alloc_child_fails(28));
    node.record(&Record::Lost { t_ns: 52_000 * MS, hook: Hook::CssFree, cpu: 1, events: 7 });
    node.time(60_000);
    node
}

#[test]
fn pages_of_a_sick_node() {
    let mut node = sick();
    compare("metrics.prom", node.page(MetricsFormat::Classic).as_bytes());
    compare("metrics.openmetrics", node.page(MetricsFormat::OpenMetrics).as_bytes());
    let mut leaks = Vec::new();
    json::leaks(&mut leaks, &LeaksView::new(&node.book, 3)).expect("a Vec takes all");
    compare("leaks.jsonl", &leaks);
}

#[test]
fn a_healthy_node_has_all_counters_at_zero() {
    let page = Node::new().page(MetricsFormat::Classic);
    for series in [
        "memcg_trace_leaks_total 0",
        "memcg_trace_late_total 0",
        "memcg_trace_lifecycle_events_total{event=\"late\"} 0",
        "memcg_trace_alloc_failures_total{cause=\"ids\"} 0",
        "memcg_trace_dying_lifetime_seconds_bucket{le=\"+Inf\"} 0",
        "memcg_trace_events_lost_total 0",
        "memcg_trace_workload_leaked_memcgs{namespace=\"\",workload=\"_other\",kind=\"\"} 0",
        "memcg_trace_leaked_memcgs 0",
    ] {
        assert!(page.lines().any(|line| line == series), "no {series} in\n{page}");
    }
}

/// Whatever names are, a page has the same lines as with others.
#[test]
fn names_forge_no_line() {
    let page = sick().page(MetricsFormat::Classic);
    assert!(
        page.lines().all(|line| line.starts_with("# ")
            || line.starts_with("memcg_trace_")
            || line.starts_with("process_")),
        "{page}"
    );
    // No pod and no container is a label, whatever leaks.
    assert!(!page.contains("backup-28374650-x7kzq") && !page.contains("pod=\""), "{page}");
}

/// What died before the start is leaked in the gauges at once, and no leak of this run.
#[test]
fn a_restart_keeps_the_gauges() {
    let mut node = sick();
    let leaked = node.value("memcg_trace_leaked_memcgs").expect("a gauge");
    assert_eq!(leaked, 5.0);
    let mut again = Node::new();
    let dying: Vec<_> =
        [css(10, "old.service"), container(21), container(30), css(40, "b.service"), container(50)]
            .iter()
            .map(|css| charged(css.walked_dying(), 1).at(1_100))
            .collect();
    again.record(&Record::Walk(Snapshot {
        began_ns: 1_090 * MS,
        ended_ns: 1_100 * MS,
        events: dying,
        ..Snapshot::default()
    }));
    again.time(1_200);
    assert_eq!(again.value("memcg_trace_leaked_memcgs"), Some(leaked));
    assert_eq!(again.value("memcg_trace_leaks_total"), Some(0.0));
    again.time(100_000);
    assert_eq!(again.value("memcg_trace_leaked_memcgs"), Some(leaked));
    assert_eq!(again.value("memcg_trace_leaks_total"), Some(0.0));
}

/// A workload that leaves the list takes its counter along, and finds it again when it is back.
#[test]
fn counters_of_workloads_only_grow() {
    let mut node = Node::new();
    node.top = 1;
    let series = |workload: &str, metric: &str| {
        format!("memcg_trace_workload_{metric}{{namespace=\"prod\",workload=\"{workload}\",kind=\"pod\"}}")
    };
    let mut serial = 100;
    let mut leak = |node: &mut Node, ms: u64, workload: &str, number: u64| {
        let memcgs: Vec<Css> = (0..number)
            .map(|_| {
                serial += 1;
                container(serial)
            })
            .collect();
        for css in &memcgs {
            node.dies(ms, css, Some(of_pod(&format!("{workload}-x7kzq"), "prod", "c")), 1);
        }
        node.time(ms + GRACE_MS + 20);
        memcgs
    };
    let first = leak(&mut node, 2_000, "web", 2);
    assert_eq!(node.value(&series("web", "leaks_total")), Some(2.0));
    leak(&mut node, 40_000, "batch", 3);
    let sum = |node: &mut Node| {
        node.page(MetricsFormat::Classic)
            .lines()
            .filter(|line| line.starts_with("memcg_trace_workload_leaked_memcgs{"))
            .map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
            .sum::<f64>()
    };
    assert_eq!(
        (node.value(&series("web", "leaks_total")), node.value(&series("batch", "leaks_total"))),
        (None, Some(3.0))
    );
    assert_eq!(sum(&mut node), 5.0);
    for css in &first {
        node.at(80_000, css.free());
    }
    leak(&mut node, 80_100, "web", 4);
    assert_eq!(node.value(&series("web", "leaks_total")), Some(6.0));
    assert_eq!(node.value(&series("web", "created_total")), Some(6.0));
    assert_eq!(sum(&mut node), 7.0);
}

/// Where nothing tells the kinds of charges apart, all is `other`, and no kind is zero.
#[test]
fn kinds_that_are_unknown_are_absent() {
    let mut node = Node::new();
    node.dies(2_000, &container(50), None, 3);
    let mut view = node.view();
    view.facts.accounting = None;
    let mut page = Vec::new();
    encode(&mut page, &families(&view), MetricsFormat::Classic).expect("a Vec takes all");
    let page = String::from_utf8(page).expect("a page is UTF-8");
    let kinds: Vec<_> =
        page.lines().filter(|line| line.starts_with("memcg_trace_dying_charged_bytes")).collect();
    assert_eq!(kinds, ["memcg_trace_dying_charged_bytes{kind=\"other\"} 12288"]);
}

/// The page of a node with 10,000 zombies of 5,000 pods of 100 workloads: as many series as with few of them.
#[test]
fn series_are_bounded() {
    let mut node = Node::new();
    node.top = 20;
    for number in 0..5_000_u64 {
        let pod = format!("job{}-x7k{}", number % 100, ["zq", "zb", "zc"][number as usize % 3]);
        for css in [container(1_000 + 2 * number), container(1_001 + 2 * number)] {
            node.dies(2_000 + number / 10, &css, Some(of_pod(&pod, "prod", "c")), 1);
        }
    }
    node.time(60_000);
    assert_eq!(node.value("memcg_trace_leaked_memcgs"), Some(10_000.0));
    let page = node.page(MetricsFormat::Classic);
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 200, "{series} series");
    assert!(page.len() <= 64 << 10, "{} bytes", page.len());
}

/// The ledger is as good as its events: a walk that finds something else, which no event explains, says so.
#[test]
fn a_walk_is_a_second_opinion() {
    let [before, stays, unseen, goes] =
        [(2, "before"), (3, "stays"), (4, "unseen"), (5, "goes")].map(|(serial, name)| css(serial, name));
    let walk = |ms: u64, found: &[&Css]| {
        let events = found.iter().map(|css| css.walked().at(ms)).collect();
        Record::Walk(Snapshot { began_ns: (ms - 2) * MS, ended_ns: ms * MS, events, ..Snapshot::default() })
    };
    for (found, freed_ms, disagrees) in [
        (&[&before, &stays, &goes][..], None, false),
        (&[&before, &stays], Some(5_100), false),
        (&[&before, &stays], Some(7_000), true),
        (&[&before, &stays], None, true),
        (&[&before, &stays, &goes, &unseen], None, true),
        (&[&stays, &goes], None, true),
    ] {
        let mut node = Node::new();
        node.record(&walk(1_002, &[&before]));
        node.at(2_000, stays.online());
        node.at(2_000, goes.online());
        node.record(&walk(5_000, found));
        if let Some(ms) = freed_ms {
            node.time(ms - 1);
            node.at(ms, goes.free());
        }
        node.time(6_500);
        assert_eq!(node.tally.kernel_disagrees(), disagrees, "{} found, freed {freed_ms:?}", found.len());
        // The next one agrees.
        node.record(&Record::Lost { t_ns: 7_500 * MS, hook: Hook::CssFree, cpu: 0, events: 1 });
        node.record(&walk(8_000, &[&stays]));
        node.time(9_500);
        node.record(&walk(10_000, &[&stays]));
        node.time(11_500);
        assert!(!node.tally.kernel_disagrees());
    }
}
