//! How fast a recording is replayed, from its bytes in memory to the bytes of the output: events per second of CPU time, one
//! figure for each replay. `cargo xtask bench` runs it and shows the numbers.
//!
//! - `summary`: only the summary is printed (`--count 0`).
//! - `json`: a line for each step, as `replay -o json` prints it.

#[path = "../tests/events/mod.rs"]
mod events;

use std::{io, time::Duration};

use clap::{Args as _, FromArgMatches as _};
use events::{Fired, css};
use memcg_trace::{
    commands::follow::{Printer, Shown},
    exit::Exit,
    record::{
        Clock, End, Record, Start,
        recording::{Joined, Reader, Writer},
    },
    session::{self, Book, Replayed},
};
use memcg_trace_common::{Hook, WalkLayout};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

/// Memcgs that come and go, each with all that the kprobe backend sees of its life.
const LIVES: u64 = 30_000;
const REPLAYS: usize = 15;
const START_NS: u64 = 1_000_000_000;
const STEP_NS: u64 = 5_000;
/// Events between two polls of the buffers.
const POLL: u64 = 1_000;

const CLOCK: Clock = Clock { boottime_offset_ns: 0, realtime_offset_ns: 1_700_000_000_000_000_000 };

fn main() {
    // cargo adds an argument of its own.
    let count = match std::env::args().nth(1).as_deref() {
        Some("json") => None,
        _ => Some(0),
    };
    let (recording, events) = record();
    let rates: Vec<_> = (0..REPLAYS)
        .map(|_| {
            let start = cpu_time();
            replay(&recording, count);
            events as f64 / (cpu_time() - start).as_secs_f64()
        })
        .collect();
    println!("{}", json!({ "events_per_second": rates }));
}

/// The recording, and how many events it has.
fn record() -> (Vec<u8>, u64) {
    const NEVER: &str = "a Vec takes all";
    let mut writer = Writer::new(Vec::new(), &start()).expect(NEVER);
    let (mut now_ns, mut events) = (START_NS, 0);
    let mut seqs = [0; Hook::COUNT];
    for serial in 1..=LIVES {
        let css = css(serial, format!("cri-containerd-{serial:064x}.scope"));
        let life = [
            css.alloc(),
            css.online(),
            css.rmdir(),
            css.offline_enter(),
            css.offline_id_released(),
            css.released(),
            css.free(),
        ];
        for mut fired in life {
            let seq = &mut seqs[usize::from(fired.header.hook)];
            *seq += 1;
            now_ns += STEP_NS;
            events += 1;
            (fired.header.seq, fired.header.t_ns) = (*seq, now_ns);
            writer.record(&Record::Event(Fired::event(fired))).expect(NEVER);
            if events % POLL == 0 {
                writer.time(now_ns).expect(NEVER);
                writer.flush().expect(NEVER);
            }
        }
    }
    (writer.finish(&End { ended_ns: now_ns, clock: CLOCK, undecodable: 0 }).expect(NEVER), events)
}

fn replay(recording: &[u8], count: Option<u64>) {
    let shown = Shown::augment_args(clap::Command::new("replay"));
    let shown = shown.try_get_matches_from(["replay", "-o", "json"]).expect("options of replay");
    let shown = Shown::from_arg_matches(&shown).expect("options of replay");
    let reader = Reader::open(recording).expect("a recording");
    let out = io::BufWriter::new(io::sink());
    let mut book = Book::new(reader.start().clone(), shown.rollup());
    let mut printer = Printer::new(book.start(), &shown, count, out).expect("a sink takes all");
    let Replayed::Whole(end) =
        session::replay(&mut Joined::alone(reader), &mut book, &mut printer).expect("a sink takes all")
    else {
        panic!("the recording is sound");
    };
    let exit = printer.finish(&book, &end, None).expect("a sink takes all");
    assert_eq!(exit, Exit::Done);
}

fn start() -> Start {
    Start {
        layout: WalkLayout::UNKNOWN,
        clock: CLOCK,
        started_ns: START_NS,
        live: Some(1),
        ..events::start()
    }
}

/// CPU time of this thread: what others do on the machine does not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock that every kernel has").into()
}
