//! A recording of a node whose pods leave zombies: as many as wanted, of many workloads, pinned by many things, with names that
//! are hostile, and a trend.

use memcg_trace::{
    attribution::{FactSource, Facts, Role, Runtime},
    cause::{Pin, Pinned, PinnedBy, Process},
    event::Key,
    record::{Clock, End, Learned, PinsRead, Record, Start, recording::Writer},
};
use memcg_trace_common::{Field, Hook};

use crate::events::{Css, Fired, css, start};

const S: u64 = 1_000_000_000;
const START_NS: u64 = 5_000 * S;
const NEVER: &str = "a Vec takes all";

const WORKLOADS: [&str; 14] = [
    "backup",
    "billing-exporter",
    "cache-warmer",
    "cron-<b>bold</b>",
    "image-resizer",
    "ingest",
    "log-shipper",
    "mail",
    "nightly",
    "report",
    "search-indexer",
    "thumbnails",
    "web",
    "\u{202e}txt.exe\" onload=\"alert(1)",
];

const PINS: [(Pin, &str); 6] = [
    (Pin::Tmpfs, "/dev/shm/session-{}"),
    (
        Pin::File,
        "/var/lib/kubelet/pods/6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e/volumes/kubernetes.io~csi/data/mount/index",
    ),
    (Pin::Tmpfs, "/dev/shm/</svg><script>alert(1)</script>"),
    (Pin::Swap, "/dev/dm-1"),
    (Pin::Socket, "10.0.0.{}:443"),
    (Pin::Task, "\x1b[31mdefunct"),
];

/// The recording of `zombies` of them, the last of which leaked a while ago.
pub fn recording(zombies: u64) -> Vec<u8> {
    let start = Start {
        kernel: "6.12.0-<i>test</i>".to_owned(),
        unknown: vec![("a <hook> of \"this\" & that".to_owned(), "it is missing".to_owned())],
        started_ns: START_NS,
        live: Some(400),
        ..start()
    };
    let mut node = Node {
        writer: Writer::new(Vec::new(), &start).expect(NEVER),
        // Ten minutes, however many there are.
        step_ns: 600 * S / (zombies * 4 / 3).max(1),
        now_ns: START_NS,
        seqs: [0; Hook::COUNT],
        pinned: Vec::new(),
    };
    let slices: Vec<Css> = (2..)
        .zip(WORKLOADS)
        .map(|(serial, _)| css(serial, format!("kubepods-burstable-{serial}.slice")))
        .collect();
    slices.iter().for_each(|slice| node.fire(slice.online()));
    let mut left = zombies;
    for serial in 100.. {
        if left == 0 {
            break;
        }
        let workload = node.workload(serial);
        let memcg = css(serial, format!("cri-containerd-{serial:064x}.scope")).below(&slices[workload]);
        let memcg = Css { memcg_id: (serial % 60_000) as u32 + 100, ..memcg };
        // The more there are of a workload, the more of them stay.
        let stays = serial % 20 > workload as u64;
        left -= u64::from(stays);
        node.life(&memcg, workload, stays);
    }
    node.finish(zombies)
}

struct Node {
    writer: Writer<Vec<u8>>,
    step_ns: u64,
    now_ns: u64,
    seqs: [u64; Hook::COUNT],
    pinned: Vec<(Key, Pinned)>,
}

impl Node {
    /// A few have most of them.
    fn workload(&self, serial: u64) -> usize {
        let chance = serial.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let share = (chance % 1_000) as f64 / 1_000.0;
        (share * share * WORKLOADS.len() as f64) as usize
    }

    fn life(&mut self, memcg: &Css, workload: usize, stays: bool) {
        let (serial, name) = (memcg.key.serial, WORKLOADS[workload]);
        let facts = Facts {
            id: Some(format!("{serial:064x}")),
            pod_uid: Some(format!("6a4ce4a0-ba47-11ea-b2a7-{serial:012x}")),
            runtime: Some(Runtime::Containerd),
            pod: Some(format!("{name}-28374650-x7kzq")),
            namespace: Some("prod".to_owned()),
            name: Some(name.to_owned()),
            image: Some(format!("registry.example/{name}:7")),
            role: Some(Role::Workload),
            ..Facts::of(FactSource::Bundle)
        };
        self.record(&Record::Learned(Learned::Names { key: memcg.key, facts: vec![facts] }));
        self.fire(memcg.online());
        self.now_ns += self.step_ns;
        self.fire(memcg.rmdir());
        self.fire(memcg.offline_enter());
        let holds_id = stays && serial.is_multiple_of(5);
        let offline = if holds_id { memcg.offline_id_held(7) } else { memcg.offline_id_released() };
        self.fire(charged(offline, serial % 900, serial % 900 + 1));
        match stays {
            true => self.pinned.push((memcg.key, pinned(serial))),
            false => {
                self.fire(memcg.released());
                self.fire(memcg.free());
            }
        }
        self.writer.time(self.now_ns).expect(NEVER);
    }

    fn fire(&mut self, mut fired: Fired) {
        let seq = &mut self.seqs[usize::from(fired.header.hook)];
        *seq += 1;
        // An event takes a microsecond.
        self.now_ns += 1_000;
        (fired.header.seq, fired.header.t_ns) = (*seq, self.now_ns);
        self.record(&Record::Event(fired.event()));
    }

    fn record(&mut self, record: &Record) {
        self.writer.record(record).expect(NEVER);
    }

    /// Most of them leak before it ends.
    fn finish(mut self, zombies: u64) -> Vec<u8> {
        let of = std::mem::take(&mut self.pinned);
        assert_eq!(of.len() as u64, zombies);
        self.record(&Record::Learned(Learned::Pins(PinsRead { t_ns: self.now_ns, of })));
        for _ in 0..35 {
            self.now_ns += S;
            self.writer.time(self.now_ns).expect(NEVER);
        }
        let clock = Clock { boottime_offset_ns: 0, realtime_offset_ns: 1_700_000_000 * S as i64 };
        self.writer.finish(&End { ended_ns: self.now_ns, clock, undecodable: 0 }).expect(NEVER)
    }
}

fn charged(mut fired: Fired, pages: u64, css_refs: u64) -> Fired {
    (fired.header.charged_pages, fired.header.css_refs) = (pages, css_refs);
    fired.header.known |= Field::CHARGED | Field::CSS_REFS;
    fired
}

fn pinned(serial: u64) -> Pinned {
    let (pin, what) = PINS[(serial % 7) as usize % PINS.len()];
    let refs = serial % 900 + 1;
    let by = PinnedBy {
        pin,
        refs,
        things: 1 + serial % 3,
        what: Some(what.replace("{}", &(serial % 97).to_string()).into_bytes().into()),
        holder: serial
            .is_multiple_of(3)
            .then(|| Process { pid: serial as u32, comm: b"sle<ep>\x1b".as_slice().into() }),
        holders: u64::from(serial.is_multiple_of(3)),
    };
    Pinned { refs, explained: refs, complete: true, by: vec![by] }
}
