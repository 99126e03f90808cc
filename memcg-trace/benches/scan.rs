//! What `scan` holds and takes to tell of a full node: as many zombies as there are memcg IDs, each pinned by a file, from the walk to
//! the bytes of the output. `cargo xtask bench` runs it and shows the numbers.
//!
//! - `text`, `json`: the format. Peak of resident memory besides the program, and CPU time from the ledger on.

#[path = "../tests/events/mod.rs"]
mod events;

use std::{collections::HashMap, fs, io, time::Duration};

use events::{Css, css, key};
use memcg_trace::{
    attribution::container_of_path,
    cause::{Pin, Pinned, PinnedBy},
    event::ID_LIMIT,
    kernel::cgroupfs::cgroup_stat::KernelCounts,
    record::{Clock, Learned, PinsRead, Record, Snapshot, Version, WalkMeans},
    report::{
        json,
        text::{self, Color},
        view::{Accounting, ScanRequest, ScanView, Scanned, Selection, Sort, Viewpoint},
    },
    tracker::Tracker,
};
use memcg_trace_common::{Charges, Field};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

const CONTAINERS: u64 = 2;
const ENDED_NS: u64 = 9_000_000_000;
const PAGE_BYTES: u64 = 4096;

fn main() {
    // cargo adds an argument of its own.
    let as_json = std::env::args().nth(1).as_deref() == Some("json");
    let before_bytes = of_status("VmRSS:");
    let snapshot = walk();
    let mut tracker = Tracker::of_walk(&snapshot);
    tracker.apply(&Record::Learned(Learned::Pins(pins(&tracker))), &mut Vec::new());
    let memcgs = tracker.dying().count();
    let scanned = Scanned {
        backend: WalkMeans::Program,
        walked: snapshot.into(),
        accounting: Accounting { version: Version::V2, swap: true, page_bytes: PAGE_BYTES },
        counted: KernelCounts::default(),
        agrees: None,
        walks: 1,
        moved: 0,
        empty: HashMap::new(),
        names_missing: None,
        unknown: Vec::new(),
    };
    let clock = Clock { boottime_offset_ns: 0, realtime_offset_ns: 1_700_000_000_000_000_000 };
    let viewpoint = Viewpoint { clock, page_bytes: PAGE_BYTES, dying_unseen: Some(0) };
    let request = ScanRequest { selection: Selection::Dying, by: None, sort: Sort::Age, top: None };
    let start = cpu_time();
    let view = ScanView::new(&scanned, &tracker, viewpoint, request, |memcg| {
        memcg.path.as_deref().and_then(container_of_path)
    });
    let mut out = io::BufWriter::new(io::sink());
    match as_json {
        true => json::scan(&mut out, &view).expect("a sink takes all"),
        false => text::scan(&mut out, &view, Color::Off).expect("a sink takes all"),
    }
    let cpu_ms = (cpu_time() - start).as_secs_f64() * 1e3;
    let peak_bytes = of_status("VmHWM:") - before_bytes;
    println!("{}", json!({ "memcgs": memcgs, "peak_bytes": peak_bytes, "cpu_ms": cpu_ms }));
}

/// Pods of two containers below their class.
fn walk() -> Snapshot {
    let root = Css { level: 0, parent: None, cgroup_id: 1, ..css(1, "") };
    let class = css(2, "kubepods-burstable.slice");
    let mut events = vec![root.walked().at(0), class.walked().at(0)];
    let mut serials = 3..ID_LIMIT;
    while let Some(serial) = serials.next() {
        let uid = format!("9b3b6c1e_5f0a_4d7e_8a55_{serial:012x}");
        let pod = css(serial, format!("kubepods-burstable-pod{uid}.slice")).below(&class);
        let containers = serials.by_ref().take(CONTAINERS as usize);
        let containers: Vec<_> = containers
            .map(|serial| css(serial, format!("cri-containerd-{serial:064x}.scope")).below(&pod))
            .collect();
        for css in [&pod].into_iter().chain(&containers) {
            let mut fired = css.walked_dying();
            (fired.header.charged_pages, fired.header.css_refs) = (17, 16);
            fired.header.known |= Field::CHARGED | Field::CSS_REFS;
            events.push(fired.at(0));
        }
    }
    let charges = Charges { known: u32::MAX, kinds: [4096; memcg_trace_common::KINDS], ..Charges::UNKNOWN };
    let charges = (1..ID_LIMIT).map(|serial| (key(serial), charges)).collect();
    Snapshot { began_ns: ENDED_NS - 1_000_000, ended_ns: ENDED_NS, events, charges }
}

fn pins(tracker: &Tracker) -> PinsRead {
    let pinned = |serial: u64| {
        let what = format!("/var/lib/kubelet/pods/{serial:012x}/volumes/cache");
        let by = PinnedBy {
            pin: Pin::File,
            refs: 16,
            things: 1,
            what: Some(what.into_bytes().into()),
            holder: None,
            holders: 0,
        };
        Pinned { refs: 16, explained: 16, complete: true, by: vec![by] }
    };
    let of = tracker.dying().map(|memcg| (memcg.key, pinned(memcg.key.serial)));
    PinsRead { t_ns: ENDED_NS, of: of.collect() }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock that every kernel has").into()
}

/// A line of /proc/self/status in kB.
fn of_status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = value.and_then(|value| value.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.expect("an amount in kB") * 1024
}
