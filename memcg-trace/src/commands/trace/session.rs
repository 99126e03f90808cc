//! One run of `trace`: set up, follow, sum up.

use std::{
    io::{self, BufWriter, Stdout},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

use super::{
    super::{follow::Follower, release_memory, wall_clock},
    Args,
    recorder::Recorder,
};
use crate::{
    exit::Exit,
    kernel::{Kernel, privileges},
    source::{End, Feed as _, Polled, Record, Snapshot, Start, Stream, Wanted},
    tracker::Backend,
};

/// How often the buffers are drained; at once when one of them fills fast.
const POLL: Duration = Duration::from_millis(50);
const POLL_PRESSED: Duration = Duration::from_millis(1);

pub struct Session {
    args: Args,
    stream: Stream,
    follower: Follower<BufWriter<Stdout>>,
    recorder: Option<Recorder>,
    stop: Stop,
    /// Kept from call to call for its memory.
    records: Vec<Record>,
}

/// The signals that end a run.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Session {
    /// Checks what the machine has, attaches, and reads what is there already.
    pub fn start(args: Args) -> Result<Self> {
        let kernel = Kernel::probe(args.btf.as_deref())?;
        let wanted = Wanted {
            backend: args.backend.only(),
            perf_pages: args.perf_pages,
            walk: !args.no_walk,
            grace_ns: args.grace_ns(),
            clock: wall_clock(),
        };
        let (stream, start) = Stream::open(&kernel, &wanted)?;
        let recorder = args.record.as_ref().map(|path| Recorder::start(path, &start)).transpose()?;
        privileges::drop_unneeded();
        release_memory();
        // Before it says that it traces: who reads that may send a signal.
        let stop = Stop::new()?;
        announce(&start, stream.snapshot());
        let out = BufWriter::new(io::stdout());
        let follower = Follower::new(start, &args.shown, args.count, out)?;
        Ok(Self { args, stream, follower, recorder, stop, records: Vec::new() })
    }

    /// Follows until a signal, `--duration` or `--count`, then sums up.
    pub async fn run(mut self) -> Result<Exit> {
        let end = self.args.duration.map(|duration| Instant::now() + duration);
        let mut poll = POLL;
        loop {
            tokio::select! {
                () = sleep(poll) => {}
                () = until(end) => break,
                () = self.stop.requested() => break,
            }
            poll = self.poll()?;
            if self.follower.is_full() {
                break;
            }
        }
        self.finish()
    }

    /// Drains, applies and shows; how long to wait until the next time.
    fn poll(&mut self) -> Result<Duration> {
        let Polled { settled_ns, pressed, checked } =
            self.stream.poll(self.follower.wants_walk(), &mut self.records)?;
        if checked {
            self.recorder.iter_mut().for_each(Recorder::flush);
        }
        self.apply(settled_ns)?;
        Ok(if pressed { POLL_PRESSED } else { POLL })
    }

    /// Applies the records at hand; time then is `now_ns`.
    fn apply(&mut self, now_ns: u64) -> Result<()> {
        for record in self.records.drain(..) {
            if let Some(recorder) = &mut self.recorder {
                recorder.record(&record);
            }
            self.follower.apply(&record)?;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.time(now_ns);
        }
        self.follower.advance(now_ns)?;
        self.follower.flush()
    }

    /// Detaches, accounts for every event that was emitted, and sums up.
    fn finish(mut self) -> Result<Exit> {
        let end_ns = self.stream.end(&mut self.records)?;
        self.apply(end_ns)?;
        if self.follower.wants_walk() {
            self.stream.walk(&mut self.records);
            self.apply(end_ns)?;
        }
        let end = End { ended_ns: end_ns, clock: wall_clock(), undecodable: self.stream.undecodable() };
        let recorded = self.recorder.is_none_or(|recorder| recorder.finish(&end));
        let exit = self.follower.finish(&end)?;
        Ok(if recorded { exit } else { Exit::Failed })
    }
}

/// Says on stderr what is traced and how.
fn announce(start: &Start, snapshot: Option<&Snapshot>) {
    let why = start.backend_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    eprintln!("memcg-trace: tracing {}, {} backend{why}", start.controller, start.backend);
    if start.backend == Backend::Tracepoint {
        eprintln!(
            "memcg-trace: this backend cannot tell when a memcg ID is released, nor why one is refused"
        );
    }
    if let Some(snapshot) = snapshot {
        let (all, dying) = (snapshot.events.len(), snapshot.dying().count());
        eprintln!("memcg-trace: {all} memcgs are there already, {dying} of them dying");
    }
    for (what, error) in &start.unknown {
        eprintln!("memcg-trace: not known: {what}, because {error}");
    }
}

impl Stop {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Never, if there is no end.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
