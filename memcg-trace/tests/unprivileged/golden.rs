//! Golden output: hand-made streams of events, through the real ledger, into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged golden` writes the files anew; read the difference before committing it.

use std::{collections::HashMap, time::Instant};

use memcg_trace::{
    attribution::{ByOwner, FactSource, Facts, Names, NamesMissing, Role, Runtime, container_of_path},
    cause::{Pin, Pinned, PinnedBy, Process},
    record::{Backend, CacheCopies, Learned, PinsRead, Record, Snapshot},
    report::{
        json,
        text::{self, Color, Page},
        view::{EventView, NamesMissingView, Run, SummaryView, Viewpoint, rolled, subject},
    },
    session::Rollup,
    tracker::{Change, Memcg, Tracker, TrackerConfig, What},
};
use memcg_trace_common::{Field, Hook};

use crate::{
    compare::{ID, UID, VIEWPOINT, WIDTHS, check_json, check_text, check_width, compare},
    events::{Css, Fired, MS, css, key},
};

const GRACE_MS: u64 = 30_000;

/// One run of the tool: what it would print, in both formats.
struct Session {
    name: &'static str,
    tracker: Tracker,
    viewpoint: Viewpoint,
    run: Run,
    names: Names,
    rollup: Option<Rollup>,
    color: Color,
    /// By width.
    terminals: Vec<(usize, Vec<u8>)>,
    text: Vec<u8>,
    json: Vec<u8>,
}

impl Session {
    fn new(name: &'static str) -> Self {
        Self::on(name, Backend::Kprobe, Some(200))
    }

    fn on(name: &'static str, backend: Backend, live_at_start: Option<u64>) -> Self {
        let paths = HashMap::from([(1, Box::from(*b"/"))]);
        let config = TrackerConfig { backend, grace_ns: GRACE_MS * MS, live_at_start, paths };
        let run = Run {
            backend,
            backend_reason: None,
            unknown: Vec::new(),
            started_ns: 1_000 * MS,
            ended_ns: 0,
            grace_ns: config.grace_ns,
            undecodable: 0,
            perf_pages: Some(64),
            cut_off: false,
            cgroup: None,
        };
        let mut text = Vec::new();
        text::header(&mut text, Color::Off).expect("a Vec takes all");
        let tracker = Tracker::new(config);
        let (names, color) = (Names::default(), Color::Off);
        let (viewpoint, json) = (VIEWPOINT, Vec::new());
        let terminals = Vec::new();
        Self { name, tracker, viewpoint, run, names, rollup: None, color, text, terminals, json }
    }

    /// On terminals of all widths, too.
    fn on_terminals(mut self) -> Self {
        for width in WIDTHS {
            let mut text = Vec::new();
            text::header(&mut text, Page::terminal(Color::Off, width)).expect("a Vec takes all");
            self.terminals.push((width, text));
        }
        self
    }

    fn record(&mut self, record: Record) {
        let mut changes = Vec::new();
        self.tracker.apply(&record, &mut changes);
        self.show(&changes);
    }

    /// An event, `ms` after boot.
    fn at(&mut self, ms: u64, fired: Fired) {
        self.record(Record::Event(fired.at(ms)));
    }

    fn time(&mut self, ms: u64) {
        let mut changes = Vec::new();
        self.tracker.advance(ms * MS, &mut changes);
        self.show(&changes);
    }

    fn show(&mut self, changes: &[Change]) {
        for change in changes {
            let container = subject(change, &self.tracker)
                .and_then(|memcg| self.names.container_of(&memcg.key, memcg.path.as_deref()));
            let view = EventView::new(change, &self.tracker, container.as_ref(), &self.viewpoint);
            text::event(&mut self.text, &view, self.color).expect("a Vec takes all");
            for (width, text) in &mut self.terminals {
                text::event(text, &view, Page::terminal(self.color, *width)).expect("a Vec takes all");
            }
            json::event(&mut self.json, &view).expect("a Vec takes all");
            if let (What::Freed { memcg, .. }, Some(rollup)) = (&change.what, &mut self.rollup) {
                rollup.forget(memcg, container.as_ref());
            }
        }
    }

    /// The summary, and the comparison.
    fn end(mut self, ms: u64) {
        self.time(ms);
        self.run.ended_ns = ms * MS;
        let container = |memcg: &Memcg| self.names.container_of(&memcg.key, memcg.path.as_deref());
        let mut view = SummaryView::new(&self.run, &self.tracker, &self.viewpoint, container);
        view.names_missing = self.names.missing.as_ref().map(NamesMissingView::new);
        if let Some(rollup) = &self.rollup {
            view.rolled = rolled(rollup, &self.run, &self.tracker, &self.viewpoint, container);
        }
        text::summary(&mut self.text, &view, self.color).expect("a Vec takes all");
        for (width, mut text) in self.terminals {
            text::summary(&mut text, &view, Page::terminal(self.color, width)).expect("a Vec takes all");
            check_text(&text, self.color);
            check_width(&text, width);
            compare(&format!("{}-{width}.txt", self.name), &text);
        }
        json::summary(&mut self.json, &view).expect("a Vec takes all");
        check_json(&self.json);
        check_text(&self.text, self.color);
        compare(&format!("{}.txt", self.name), &self.text);
        compare(&format!("{}.jsonl", self.name), &self.json);
    }
}

/// A css as `css()` makes it, one level further down.
fn child(serial: u64, name: impl AsRef<[u8]>, parent: &Css) -> Css {
    css(serial, name).below(parent)
}

fn charged(mut fired: Fired, pages: u64, css_refs: u64) -> Fired {
    (fired.header.charged_pages, fired.header.css_refs) = (pages, css_refs);
    fired.header.known |= Field::CHARGED | Field::CSS_REFS;
    fired
}

/// Directory removed, offline with the ID released; nothing else.
fn remove(session: &mut Session, ms: u64, css: &Css) {
    session.at(ms, css.rmdir().by("runc"));
    session.at(ms, css.offline_enter().by("kworker/1:2"));
    session.at(ms + 2, css.offline_id_released().by("kworker/1:2"));
}

fn free(session: &mut Session, ms: u64, css: &Css) {
    session.at(ms, css.released().by("kworker/1:2"));
    session.at(ms + 1, css.free().by("kworker/1:2"));
}

/// The cgroups above a container of a pod, as kubelet makes them.
fn pod(session: &mut Session) -> Css {
    let kubepods = css(10, "kubepods");
    let besteffort = child(11, "besteffort", &kubepods);
    let pod = child(12, format!("pod{UID}"), &besteffort);
    for (ms, css) in [(1_000, &kubepods), (1_010, &besteffort), (1_020, &pod)] {
        session.at(ms, css.online().by("kubelet"));
    }
    pod
}

#[test]
fn clean() {
    let mut session = Session::new("clean");
    for serial in 20..23 {
        let css = css(serial, format!("job{serial}"));
        session.at(serial * 100, css.online());
        remove(&mut session, serial * 100 + 50, &css);
        free(&mut session, serial * 100 + 90, &css);
    }
    session.end(61_000);
}

#[test]
fn container_leaks() {
    let mut session = Session::new("container").on_terminals();
    let pod = pod(&mut session);
    let container = child(20, ID, &pod);
    let below = child(21, "init.scope", &container);
    session.at(1_100, container.online());
    session.at(1_200, below.online().by("systemd"));
    for (ms, css, pages) in [(5_000, &below, 256), (5_100, &container, 300)] {
        session.at(ms, css.rmdir());
        session.at(ms, css.offline_enter().by("kworker/0:1"));
        session.at(ms + 1, charged(css.offline_id_released().by("kworker/0:1"), pages, 256));
    }
    session.time(36_000);
    // Somebody deletes the file: the child is freed late, its parent stays.
    free(&mut session, 50_000, &below);
    session.end(3_700_000);
}

/// What containerd annotates.
fn annotated(id: &str, pod: &str, name: &str, role: Role) -> Facts {
    Facts {
        id: Some(id.to_owned()),
        pod_uid: Some(UID.to_owned()),
        runtime: Some(Runtime::Containerd),
        pod: Some(pod.to_owned()),
        namespace: Some("prod".to_owned()),
        name: Some(name.to_owned()),
        image: Some("registry.example/backup:7".to_owned()),
        role: Some(role),
        ..Facts::of(FactSource::Bundle)
    }
}

#[test]
fn names_are_known() {
    let mut session = Session::new("named").on_terminals();
    session.rollup = Some(Rollup::new(ByOwner::Workload));
    let pod = pod(&mut session);
    for serial in 20..26 {
        let id = format!("{serial:064x}");
        let css = child(serial, &id, &pod);
        let (name, role) = if serial == 20 { ("POD", Role::Sandbox) } else { ("backup", Role::Workload) };
        session.names.insert(key(serial), &[annotated(&id, "backup-28374650-x7kzq", name, role)]);
        session.at(serial * 100, css.online());
        remove(&mut session, serial * 100 + 50, &css);
        if serial == 21 {
            free(&mut session, serial * 100 + 90, &css);
        }
    }
    // Somebody chose this name.
    let hostile = css(30, format!("docker-{ID}.scope"));
    let facts = Facts {
        id: Some(ID.to_owned()),
        name: Some("web\x1b[2J".to_owned()),
        labels: [("app".to_owned(), "shop\n".to_owned())].into(),
        ..Facts::of(FactSource::DockerConfig)
    };
    session.names.insert(key(30), &[facts]);
    let unit = css(31, "session-4.scope");
    for (ms, css) in [(3_000, &hostile), (3_100, &unit)] {
        session.at(ms, css.online().by("systemd"));
        remove(&mut session, ms + 50, css);
    }
    session.end(61_000);
}

#[test]
fn swap_holds_the_id() {
    let mut session = Session::new("swap");
    let css = css(20, "batch.service");
    session.at(1_500, css.online().by("systemd"));
    session.at(4_000, css.rmdir().by("systemd"));
    session.at(4_000, css.offline_enter().by("kworker/0:1"));
    session.at(4_001, charged(css.offline_id_held(6146).by("kworker/0:1"), 64, 17));
    session.color = Color::On;
    session.end(40_000);
}

/// What refers to them was looked at before they were told, and once more at the end.
#[test]
fn pinned_by_what_refers_to_it() {
    let mut session = Session::new("references");
    session.rollup = Some(Rollup::new(ByOwner::Unit));
    let memcgs = [css(20, "web.service"), css(21, "batch.service"), css(22, "late.service")];
    for (ms, css) in (2_000..).step_by(100).zip(&memcgs) {
        session.at(ms, css.online());
        remove(&mut session, ms + 50, css);
    }
    let by = |pin, refs, things, what: Option<&str>, holder: Option<(u32, &str)>| PinnedBy {
        pin,
        refs,
        things,
        what: what.map(|what| what.as_bytes().into()),
        holder: holder.map(|(pid, comm)| Process { pid, comm: comm.as_bytes().into() }),
        holders: u64::from(holder.is_some()),
    };
    let pinned = |refs, explained, by| Pinned { refs, explained, complete: refs == explained, by };
    let files = by(Pin::Tmpfs, 300, 2, Some("/dev/shm/cache\n"), None);
    let namespace = by(Pin::CgroupNamespace, 1, 1, None, Some((4242, "sleep")));
    let web = pinned(301, 301, vec![files, namespace.clone()]);
    let batch = pinned(3, 1, vec![namespace, by(Pin::Unexplained, 2, 1, None, None)]);
    let of = vec![(memcgs[0].key, web), (memcgs[1].key, batch.clone())];
    session.record(Record::Learned(Learned::Pins(PinsRead { t_ns: 32_000 * MS, of })));
    session.time(33_000);
    session.record(Record::Learned(Learned::Pins(PinsRead {
        t_ns: 40_000 * MS,
        of: vec![(memcgs[2].key, batch)],
    })));
    session.end(45_000);
}

/// What was read of these memcgs.
fn caches(ms: u64, hold: bool, of: &[(&Css, &[&[u8]])]) -> Record {
    let names = |names: &[&[u8]]| names.iter().map(|name| Box::from(*name)).collect();
    let of = of.iter().map(|(css, caches)| (css.key, names(caches))).collect();
    Record::Learned(Learned::Copies(CacheCopies { t_ns: ms * MS, hold, of }))
}

/// 3.10: css_free came, and slab caches hold the memcg.
#[test]
fn pinned_by_slab_caches() {
    let mut session = Session::new("pinned");
    let names: [&[u8]; 5] = [b"work0", b"work1", b"\x1b[2J\nwork2", b"none", b"unread"];
    let memcgs: Vec<Css> = (20..).zip(names).map(|(serial, name)| css(serial, name)).collect();
    for (ms, css) in (2_000..).step_by(100).zip(&memcgs) {
        session.at(ms, css.online());
        session.at(ms + 50, css.rmdir().by("rmdir"));
        session.at(ms + 50, css.offline_enter().by("rmdir"));
        session.at(ms + 51, css.css_put().by("kworker/0:1"));
    }
    let work: [&[&[u8]]; 4] = [
        &[b"anon_vma(0:work0)", b"sighand_cache(0:work0)"],
        &[
            b"anon_vma(1:work1)",
            b"kmalloc-128(1:work1)",
            b"kmalloc-64(1:work1)",
            b"mm_struct(1:work1)",
            b"sighand_cache(1:work1)",
        ],
        &[b"sighand_cache(2:\x1b[2J\nwork2)"],
        &[],
    ];
    let of: Vec<_> = memcgs.iter().zip(work).collect();
    session.record(caches(32_000, true, &of));
    session.time(33_000);
    // One has lost some of them when it is read again, another is freed.
    session.record(caches(40_000, true, &[(&memcgs[1], &[b"sighand_cache(1:work1)"])]));
    session.at(41_000, memcgs[2].memcg_free().by("kworker/0:1"));
    session.end(45_000);
}

/// Later, up to 5.8: caches go with their memcg, whatever holds that.
#[test]
fn slab_caches_of_a_leaked_memcg() {
    let mut session = Session::new("slab_caches");
    let css = css(20, "work");
    session.at(1_500, css.online());
    remove(&mut session, 2_000, &css);
    session.record(caches(31_000, false, &[(&css, &[b"dentry(20:work)", b"filp(20:work\xff)"])]));
    session.end(40_000);
}

#[test]
fn controller_is_toggled() {
    let mut session = Session::new("toggle");
    let first = css(20, "user.slice");
    let second = first.next_generation(25);
    session.at(1_500, first.online().by("systemd"));
    // -memory and +memory in the parent's cgroup.subtree_control: the cgroup stays and gets a new memcg.
    session.at(2_000, first.offline_enter().by("kworker/0:1"));
    session.at(2_001, charged(first.offline_id_released().by("kworker/0:1"), 256, 256));
    session.at(2_500, second.online().by("systemd"));
    session.end(40_000);
}

#[test]
fn allocation_fails() {
    let mut session = Session::new("alloc_failed");
    let pod = pod(&mut session);
    session.at(2_000, pod.alloc_child_fails(28));
    session.at(2_001, pod.alloc_child_fails(16));
    session.at(2_002, pod.alloc_child_fails(12));
    // A parent that the ledger does not know.
    session.at(2_003, css(90, "unseen").alloc_child_fails(12));
    session.end(61_000);
}

#[test]
fn enomem_is_ambiguous() {
    let mut session = Session::on("enomem", Backend::Kprobe, None);
    session.viewpoint.dying_unseen = Some(41_000);
    session.at(2_000, css(90, "unseen").alloc_child_fails(12));
    session.end(61_000);
}

#[test]
fn events_are_lost() {
    let mut session = Session::new("lost");
    let seen = css(20, "seen");
    session.at(1_500, seen.online());
    remove(&mut session, 2_000, &seen);
    session.record(Record::Lost { t_ns: 3_000 * MS, hook: Hook::CssFree, cpu: 1, events: 1204 });
    session.record(Record::Missed { t_ns: 3_500 * MS, hook: Hook::CssOffline, firings: 1 });
    session.end(40_000);
}

/// A walk makes the state exact, not what happened before it.
#[test]
fn loss_is_reconciled() {
    let mut session = Session::new("reconciled");
    session.record(Record::Lost { t_ns: 3_000 * MS, hook: Hook::CssOnline, cpu: 1, events: 1204 });
    let (began_ns, ended_ns) = (4_000 * MS, 4_001 * MS);
    session.record(Record::Walk(Snapshot { began_ns, ended_ns, ..Snapshot::default() }));
    session.end(40_000);
}

#[test]
fn names_are_hostile() {
    let mut session = Session::new("hostile");
    let long = [b'x'; 255];
    let names: [&[u8]; 7] = [
        b"line\nfeed 00:00:00.000 LEAKED",
        b"\x1b[2J\x1b[31mred",
        b"not utf-8 \xff\xfe \\x2d",
        &long,
        b"system-getty\\x2dtty.slice",
        "\u{202e}gnp.elif\u{200b}".as_bytes(),
        b"$'quoted'",
    ];
    for (serial, name) in (20..).zip(names) {
        let css = css(serial, name);
        session.at(2_000 + serial, css.online().by("e\x1b]0;\u{fc}\n"));
        remove(&mut session, 3_000 + serial, &css);
    }
    let slice = Box::from(*b"/user.slice/x | pod prod_payments\x1b[2J");
    session.names.missing = Some(NamesMissing { memcgs: 1_200, slice, of_slice: 1_100 });
    session.end(40_000);
}

#[test]
fn tracepoint_backend() {
    let mut session = Session::on("tracepoint", Backend::Tracepoint, Some(41));
    session.run.backend_reason = Some("this kernel has no kprobes".to_owned());
    session.run.unknown = vec![(
        "when and by whom directories are removed".to_owned(),
        "cgroup_rmdir: not traceable".to_owned(),
    )];
    session.viewpoint.dying_unseen = Some(3);
    let scope = css(20, format!("docker-{ID}.scope"));
    let older = css(5, "older");
    session.at(1_500, scope.mkdir().by("systemd"));
    session.at(2_000, scope.rmdir().by("systemd"));
    session.at(2_500, older.rmdir().by("systemd"));
    session.time(34_000);
    session.at(35_000, older.cgroup_release().by("kworker/0:1"));
    session.end(61_000);
}

/// What a walk found dying is told in one way, before and after the grace time.
#[test]
fn dying_before_the_start() {
    for (name, ms) in [("before", 10_000), ("before_grace", 61_000), ("before_leaked", 62_000)] {
        let mut session = Session::new(name);
        let events = (2..5).map(|serial| css(serial, "old").walked_dying().at(1_000)).collect();
        let (began_ns, ended_ns) = (1_000 * MS, 1_000 * MS);
        session.record(Record::Walk(Snapshot { began_ns, ended_ns, events, ..Snapshot::default() }));
        if name == "before_leaked" {
            let new = css(20, "new");
            session.at(2_000, new.online());
            remove(&mut session, 3_000, &new);
        }
        session.end(ms);
    }
}

/// `--cgroup`: lists follow it, counts do not.
#[test]
fn lists_follow_the_filter() {
    let mut session = Session::new("filtered");
    session.run.cgroup = Some("/wanted/*".parse().expect("a glob"));
    session.rollup = Some(Rollup::new(ByOwner::Unit));
    for (serial, parent) in [(10, "wanted"), (11, "other")] {
        let parent = css(serial, parent);
        session.at(1_500, parent.online());
        for child in [10 * serial, 10 * serial + 1] {
            let css = self::child(child, format!("job{child}.scope"), &parent);
            session.at(2_000 + child, css.online());
            remove(&mut session, 3_000 + child, &css);
        }
    }
    session.end(61_000);
}

#[test]
fn many_leak() {
    let mut session = Session::new("many").on_terminals();
    let pod = pod(&mut session);
    for serial in 100..130 {
        let css = child(serial, format!("{:064x}", serial % 3), &pod);
        session.at(2_000 + serial, css.online());
        session.at(3_000 + serial, css.rmdir());
        session.at(3_000 + serial, css.offline_enter().by("kworker/0:1"));
        session.at(3_000 + serial, charged(css.offline_id_held(1).by("kworker/0:1"), serial, 1));
    }
    for ms in (4_000..20_000).step_by(1_000) {
        session.time(ms);
    }
    session.end(61_000);
}

/// 20,000 lines of a storm. The time is printed, not judged: `cargo test --release --test unprivileged golden speed -- --nocapture`.
#[test]
fn speed() {
    let config =
        TrackerConfig { backend: Backend::Kprobe, grace_ns: 1, live_at_start: None, paths: HashMap::new() };
    let mut tracker = Tracker::new(config);
    let css = css(20, ID);
    let mut changes = Vec::new();
    tracker.apply(&Record::Event(css.online().at(1)), &mut changes);
    let container = container_of_path(format!("/kubepods/besteffort/pod{UID}/{ID}").as_bytes());
    let view = EventView::new(&changes[0], &tracker, container.as_ref(), &VIEWPOINT);
    assert_eq!(view.memcg.as_ref().map(|memcg| memcg.css), Some(key(20).css));
    for (format, text) in [("JSON", false), ("text", true)] {
        let mut out = Vec::new();
        let start = Instant::now();
        for _ in 0..20_000 {
            let view = EventView::new(&changes[0], &tracker, container.as_ref(), &VIEWPOINT);
            let written =
                if text { text::event(&mut out, &view, Color::Off) } else { json::event(&mut out, &view) };
            written.expect("a Vec takes all");
        }
        println!("{format}: 20,000 lines, {} bytes, in {:?}", out.len(), start.elapsed());
    }
}
