//! The soak: for MEMCG_TRACE_SOAK_SECONDS, `serve` and `trace` run while everything is done to them that tenants, readers and the
//! machine can do. They must not grow, and know in the end what the kernel knows. `cargo xtask soak` runs it.

mod load;
mod sample;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, PipeReader, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use memcg_trace_common::CssFlag;
use nix::sys::signal::Signal;
use serde_json::Value;

use self::{
    load::Load,
    sample::{Sample, print_header},
};
use crate::{
    oracle as kernel_lists,
    support::{
        eventually, evict_stocks,
        exporter::Exporter,
        oracle,
        process::{Process, command},
        tracer::parse,
    },
    vm,
};

const SECONDS: &str = "MEMCG_TRACE_SOAK_SECONDS";
/// Rows of the table, at most one each quarter of a minute.
const SAMPLES: u32 = 24;
const SAMPLE_MIN: Duration = Duration::from_secs(15);
/// What is read of the tracer's output at once, and the time between.
const SIP: usize = 2048;
const BETWEEN_SIPS: Duration = Duration::from_millis(200);
/// Otherwise it is CAP_SYS_ADMIN, long dropped, that opens the buffer of a CPU that comes online.
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// `trace` with a reader that is slower than what there is to read.
struct SlowlyRead {
    process: Process,
    hurry: Arc<AtomicBool>,
    reader: JoinHandle<io::Result<Vec<u8>>>,
}

impl SlowlyRead {
    fn start() -> Self {
        let (stdout, theirs) = io::pipe().expect("a pipe");
        let hurry = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let hurry = hurry.clone();
            move || read(stdout, &hurry)
        });
        let mut tracer = command();
        let process = Process::start(tracer.args(["trace", "-o", "json", "--grace", "2s"]).stdout(theirs));
        Self { process, hurry, reader }
    }

    /// Ends it, and reads what it has left to say: the serial numbers of the memcgs that stay, and the summary.
    fn finish(self) -> (BTreeSet<u64>, Value) {
        self.hurry.store(true, Ordering::Relaxed);
        self.process.signal(Signal::SIGTERM);
        let (code, _, said) = self.process.finish();
        assert!([Some(0), Some(4)].contains(&code), "{code:?}: {said}");
        let rest = self.reader.join().expect("it reads").expect("its output");
        let text = String::from_utf8(rest).expect("JSON is UTF-8");
        // The first one was cut by the last sip.
        let lines: Vec<_> = text.lines().skip(1).map(parse).collect();
        let stay = lines.iter().filter(|line| line["type"] == "memcg");
        let serials = stay.filter_map(|line| line["memcg"]["serial"].as_u64()).collect();
        (serials, lines.last().expect("a summary").clone())
    }
}

/// Reads in sips, and what is left at once when it is told to hurry, which it returns.
fn read(mut stdout: PipeReader, hurry: &AtomicBool) -> io::Result<Vec<u8>> {
    while !hurry.load(Ordering::Relaxed) {
        let _ = stdout.read(&mut [0; SIP])?;
        thread::sleep(BETWEEN_SIPS);
    }
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest)?;
    Ok(rest)
}

#[test]
#[ignore = "takes as long as one wants: cargo xtask soak"]
fn soak() {
    let _machine = vm();
    let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    let length = Duration::from_secs(seconds.expect("MEMCG_TRACE_SOAK_SECONDS"));
    fs::write(PARANOID, "2").expect(PARANOID);
    let exporter = Exporter::start(&["--grace", "2s"]);
    let traced = SlowlyRead::start();
    let mut load = Load::start(exporter.address());

    print_header();
    let (begin, mut samples) = (Instant::now(), Vec::<Sample>::new());
    let between = (length / SAMPLES).max(SAMPLE_MIN);
    while begin.elapsed() < length {
        load.round();
        if begin.elapsed() >= between * (samples.len() as u32 + 1) {
            let sample = Sample::take(begin.elapsed(), &load, &exporter, traced.process.pid());
            println!("{sample}");
            samples.push(sample);
        }
    }
    load.end();

    // All is quiet: the ledger of either is what the kernel's lists say.
    let dying = eventually("serve to agree with the kernel", || {
        evict_stocks();
        let (kernel, serve) = (oracle::dying(), exporter.value("memcg_trace_memcgs{state=\"dying\"}"));
        if serve == Some(kernel as f64) {
            Ok(kernel)
        } else {
            Err(format!("kernel {kernel}, serve {serve:?}"))
        }
    });
    thread::sleep(Duration::from_secs(5));
    let listed = kernel_lists::memcgs().into_iter().filter(|memcg| memcg.flags & CssFlag::ONLINE == 0);
    let listed: BTreeSet<u64> = listed.map(|memcg| memcg.serial).collect();
    let (serials, summary) = traced.finish();
    println!("kernel: {dying} dying; trace: {summary}");
    assert!(summary["lines_dropped"].as_u64() > Some(0), "its reader was fast");
    assert!(!listed.is_empty(), "nothing leaked");
    assert_eq!(serials, listed);
    assert_eq!(summary["dying"], listed.len());
    let books = ["created", "adopted", "live", "removed", "dying", "freed"];
    let [created, adopted, live, removed, dying, freed] =
        books.map(|name| summary[name].as_u64().expect(name));
    assert_eq!(created + adopted, live + removed + dying + freed, "{summary}");
    assert_eq!(exporter.stop(), Some(0));
    Sample::assert_flat(&samples);
}
