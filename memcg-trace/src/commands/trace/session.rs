//! One run of `trace`: set up, follow, sum up.

use std::{
    io::{self, BufWriter, Stdout},
    mem,
    time::Duration,
};

use anyhow::{Context as _, Result};
use memcg_trace_common::Hook;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

use super::{
    super::{follow::Follower, wall_clock},
    Args,
    recorder::Recorder,
};
use crate::{
    exit::Exit,
    kernel::{Kernel, boot, clock, privileges, walk::Walk},
    source::{
        End, Merge, Record, Snapshot, Start,
        live::{Checked, Live, Options},
    },
    tracker::Backend,
};

/// How often the buffers are drained; at once when one of them fills fast.
const POLL: Duration = Duration::from_millis(50);
const POLL_PRESSED: Duration = Duration::from_millis(1);
/// How often the kernel is asked for missed firings.
const CHECK: Duration = Duration::from_secs(1);
/// An event is in its buffer this long after the instant it is stamped with.
const SETTLED_NS: u64 = 10_000_000;

pub struct Session {
    args: Args,
    live: Live,
    merge: Merge,
    /// `None`: not wanted, or this kernel cannot be walked.
    walk: Option<Walk>,
    /// A walk that the events have not caught up with.
    snapshot: Option<Snapshot>,
    follower: Follower<BufWriter<Stdout>>,
    recorder: Option<Recorder>,
    stop: Stop,
    checked: Instant,
    /// What the hooks had emitted at the last check, and when that was, ns.
    emitted: (u64, Vec<(Hook, u32, u64)>),
    undecodable: u64,
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
        let mut walk = if args.no_walk { None } else { kernel.walk() };
        let live = Live::open(&Options {
            layout: kernel.layout.layout,
            memory_root: kernel.memory_root,
            backend: args.backend.only(),
            perf_pages: args.perf_pages,
        })?;
        // After attaching: what comes later is in the stream, what was there before is in the walk, or in the census.
        let snapshot = walk.as_mut().map(Snapshot::take).transpose()?;
        let census = match snapshot {
            Some(_) => None,
            None => Some(kernel.controller.census()),
        };
        let dying_unseen = census.as_ref().map_or(Some(0), |census| census.dying);
        let start = Start {
            kernel: boot::release(),
            boot_id: boot::id(),
            controller: kernel.controller.to_string(),
            backend: live.backend(),
            backend_reason: live
                .fallback()
                .map(|error| format!("the kprobe backend does not work here: {error}")),
            unknown: live.absent().map(|(what, error)| (what.to_owned(), error.to_string())).collect(),
            page_bytes: live.page_bytes() as u64,
            perf_pages: live.perf_pages() as u64,
            layout: kernel.layout,
            clock: wall_clock(),
            started_ns: clock::monotonic_ns(),
            grace_ns: args.grace_ns(),
            live: Some(census.as_ref().map_or(0, |census| census.live)),
            dying_unseen,
            paths: census.map(|census| census.paths).unwrap_or_default(),
        };
        let recorder = args.record.as_ref().map(|path| Recorder::start(path, &start)).transpose()?;
        privileges::drop_unneeded();
        release_memory();
        // Before it says that it traces: who reads that may send a signal.
        let stop = Stop::new()?;
        announce(&start, snapshot.as_ref());
        let out = BufWriter::new(io::stdout());
        let follower = Follower::new(start, &args.shown, args.count, out)?;
        Ok(Self {
            args,
            live,
            merge: Merge::new(),
            walk,
            snapshot,
            follower,
            recorder,
            stop,
            checked: Instant::now(),
            emitted: (0, Vec::new()),
            undecodable: 0,
            records: Vec::new(),
        })
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

    /// Walks. A walk that fails is the last one: the stream goes on, and what only a walk can make good for stays
    /// inconclusive.
    fn take_snapshot(&mut self) -> Option<Snapshot> {
        match Snapshot::take(self.walk.as_mut()?) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                log::warn!("no more walks: {error:#}");
                self.walk = None;
                None
            }
        }
    }

    /// Drains, applies and shows; how long to wait until the next time.
    fn poll(&mut self) -> Result<Duration> {
        let now_ns = clock::monotonic_ns();
        let drained = self.live.drain(&mut self.merge);
        self.undecodable += drained.undecodable;
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        self.release(settled_ns);
        if self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            let Checked { missed, emitted } = self.live.check()?;
            let missed = missed.into_iter();
            self.records.extend(missed.map(|(hook, firings)| Record::Missed { t_ns: now_ns, hook, firings }));
            // Emitted by the check before: drained by now, unless it was lost.
            let (t_ns, emitted) = mem::replace(&mut self.emitted, (now_ns, emitted));
            self.merge.expect(t_ns, emitted, |record| self.records.push(record));
            if self.follower.wants_walk() && self.snapshot.is_none() {
                self.snapshot = self.take_snapshot();
            }
            self.recorder.iter_mut().for_each(Recorder::flush);
        }
        self.apply(settled_ns)?;
        Ok(if drained.pressed { POLL_PRESSED } else { POLL })
    }

    /// Takes what the merge has up to `settled_ns`, and a walk in its place among it.
    fn release(&mut self, settled_ns: u64) {
        if let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.ended_ns <= settled_ns) {
            self.merge.release(snapshot.ended_ns, |record| self.records.push(record));
            self.records.push(Record::Walk(snapshot));
        }
        self.merge.release(settled_ns, |record| self.records.push(record));
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
        let end_ns = clock::monotonic_ns();
        let missed = self.live.check()?.missed;
        // The first walk may still wait for the events before it.
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.release(end_ns);
        // References, charges and IDs of the survivors as they are now.
        self.snapshot = self.take_snapshot();
        let emitted = self.live.detach()?;
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.release(u64::MAX);
        self.merge.finish(emitted.events, |record| self.records.push(record));
        let missed = missed.into_iter().chain(emitted.unreturned);
        self.records.extend(missed.map(|(hook, firings)| Record::Missed { t_ns: end_ns, hook, firings }));
        self.apply(end_ns)?;
        if self.follower.wants_walk()
            && let Some(snapshot) = self.take_snapshot()
        {
            self.records.push(Record::Walk(snapshot));
            self.apply(end_ns)?;
        }
        let end = End { ended_ns: end_ns, clock: wall_clock(), undecodable: self.undecodable };
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

/// Gives back what setting up left behind: the type information of a kernel takes some 45 MB while it is parsed, and the
/// allocator keeps half of that.
fn release_memory() {
    // SAFETY: takes no pointers; glibc locks its arenas.
    unsafe { libc::malloc_trim(0) };
}

/// Never, if there is no end.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
