//! One run of `trace`: set up, follow, sum up.

use std::{
    io::{self, BufWriter, Stdout},
    mem,
    time::Duration,
};

use anyhow::Result;
use memcg_trace_common::Hook;
use tokio::time::{Instant, sleep};

use super::{
    super::{Stop, follow::Follower, release_memory, slab::Watcher, until, wall_clock},
    Args,
    recorder::Recorder,
};
use crate::{
    event::Event,
    exit::Exit,
    kernel::{Kernel, clock, memcg_caches::CachesError, privileges},
    slab::{Change, Ledger},
    source::{
        Caches, End, Feed as _, Polled, Record, Snapshot, Start, Stream, Wanted,
        names::{Asked, Resolver},
    },
    tracker::{Backend, Key},
};

/// How often the buffers are drained; at once when one of them fills fast.
const POLL: Duration = Duration::from_millis(50);
const POLL_PRESSED: Duration = Duration::from_millis(1);
/// How long a drain waits, all in all, for the names of containers that it found to be born: files take less than a
/// millisecond. Names that take longer come with a later event.
const NAMES_WAIT: Duration = Duration::from_millis(5);
/// How long the summary waits for names.
const LAST_NAMES_WAIT: Duration = Duration::from_secs(1);
/// When a destroyed slab cache counts as leaked, ns, and how often it is looked which families grow.
const SLAB_GRACE_NS: u64 = 5_000_000_000;
const SLAB_LOOK: Duration = Duration::from_secs(10);

pub struct Session {
    args: Args,
    stream: Stream,
    follower: Follower<BufWriter<Stdout>>,
    /// `None`: memcgs have no slab caches of their own here, or it cannot be read which.
    caches: Option<Caches>,
    /// `--slab`, and when it was looked how caches grow.
    slab: Option<Watcher>,
    looked: Instant,
    recorder: Option<Recorder>,
    /// `None`: names are not wanted.
    resolver: Option<Resolver>,
    /// A walk was applied.
    walked: bool,
    stop: Stop,
    /// Kept from call to call for its memory.
    records: Vec<Record>,
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
        let (stream, mut start) = Stream::open(&kernel, &wanted)?;
        let caches = Caches::open(&kernel).unwrap_or_else(|error| {
            start.unknown.push(("the slab caches of memcgs".to_owned(), error.to_string()));
            None
        });
        let slab =
            args.slab.then(|| Watcher::start(SLAB_GRACE_NS, args.btf.as_deref(), false)).transpose()?;
        let recorder = args.record.as_ref().map(|path| Recorder::start(path, &start)).transpose()?;
        // Before privileges are dropped: it needs another one.
        let resolver = args.names.resolver()?;
        privileges::drop_unneeded();
        release_memory();
        // Before it says that it traces: who reads that may send a signal.
        let stop = Stop::new()?;
        slab.iter().for_each(Watcher::announce);
        announce(&start, stream.snapshot());
        let out = BufWriter::new(io::stdout());
        let follower = Follower::new(start, &args.shown, args.count, out)?;
        let (looked, walked, records) = (Instant::now(), false, Vec::new());
        Ok(Self { args, stream, follower, caches, slab, looked, recorder, resolver, walked, stop, records })
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
        self.take_names(None)?;
        let Polled { settled_ns, pressed, checked } =
            self.stream.poll(self.follower.wants_walk(), &mut self.records)?;
        if checked {
            self.recorder.iter_mut().for_each(Recorder::flush);
        }
        self.apply(settled_ns)?;
        self.poll_slab()?;
        Ok(if pressed { POLL_PRESSED } else { POLL })
    }

    fn poll_slab(&mut self) -> Result<()> {
        let Some(slab) = &mut self.slab else { return Ok(()) };
        let mut show = |ledger: &Ledger, change: &Change| self.follower.show_slab(ledger, change);
        slab.poll(clock::monotonic_ns(), &mut show)?;
        if self.looked.elapsed() >= SLAB_LOOK {
            self.looked = Instant::now();
            slab.look(&mut show)?;
        }
        self.follower.flush()
    }

    /// Applies the records at hand; time then is `now_ns`.
    fn apply(&mut self, now_ns: u64) -> Result<()> {
        self.read_caches(now_ns)?;
        let mut records = mem::take(&mut self.records);
        let mut patience = NAMES_WAIT;
        for record in records.drain(..) {
            if let Record::Event(event) = &record {
                self.ask_for_names(event, &mut patience)?;
            }
            self.feed(&record)?;
            if let Record::Walk(_) = record {
                self.ask_for_all_names();
            }
        }
        self.records = records;
        if let Some(recorder) = &mut self.recorder {
            recorder.time(now_ns);
        }
        self.follower.advance(now_ns)?;
        self.follower.flush()
    }

    /// Finds out which slab caches those have that will be leaked at `now_ns`, before they are told.
    fn read_caches(&mut self, now_ns: u64) -> Result<()> {
        let Some(caches) = &mut self.caches else { return Ok(()) };
        let due = self.follower.due(now_ns);
        match (!due.is_empty()).then(|| caches.read_if_rested(&due)).flatten() {
            Some(read) => self.feed_caches(read),
            None => Ok(()),
        }
    }

    /// A list that changed too fast may hold still the next time; no other error goes away.
    fn feed_caches(&mut self, read: Result<Record, CachesError>) -> Result<()> {
        match read {
            Ok(record) => return self.feed(&record),
            Err(CachesError::Broken) => log::warn!("{}", CachesError::Broken),
            Err(error) => {
                log::warn!("the slab caches of memcgs are not known: {error}");
                self.caches = None;
            }
        }
        Ok(())
    }

    fn feed(&mut self, record: &Record) -> Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record);
        }
        self.follower.apply(record)
    }

    /// Asks for the names of what an event brings, and lets those of a container that was born come first.
    fn ask_for_names(&mut self, event: &Event, patience: &mut Duration) -> Result<()> {
        let asked = match event.hook() {
            Hook::CssOnline | Hook::CgroupMkdir => Asked::Born,
            Hook::CgroupRmdir | Hook::CssOfflineEnter => Asked::Dying,
            _ => return Ok(()),
        };
        let Some(resolver) = &self.resolver else { return Ok(()) };
        let Some((key, question)) = self.follower.question(event) else { return Ok(()) };
        let wait = asked == Asked::Born && question.is_promising() && !patience.is_zero();
        resolver.ask(key, question, asked);
        if !wait {
            return Ok(());
        }
        let start = Instant::now();
        resolver.wait_for(&key, *patience);
        *patience = patience.saturating_sub(start.elapsed());
        self.take_names(Some(key))
    }

    /// Asks for the names of whatever a walk found.
    fn ask_for_all_names(&mut self) {
        let Some(resolver) = &self.resolver else { return };
        let first = !mem::replace(&mut self.walked, true);
        for (key, question, lives) in self.follower.questions(first) {
            resolver.ask(key, question, if lives { Asked::Lives } else { Asked::Dying });
        }
    }

    /// Takes the names that were found, of memcgs that are there or will be at once.
    fn take_names(&mut self, next: Option<Key>) -> Result<()> {
        let Some(resolver) = &self.resolver else { return Ok(()) };
        for (key, facts) in resolver.answers() {
            if Some(key) == next || self.follower.knows(&key) {
                self.feed(&Record::Names { key, facts })?;
            }
        }
        Ok(())
    }

    /// Detaches, accounts for every event that was emitted, and sums up.
    fn finish(mut self) -> Result<Exit> {
        let end_ns = self.stream.end(&mut self.records)?;
        self.apply(end_ns)?;
        if self.follower.wants_walk() {
            self.stream.walk(&mut self.records);
            self.apply(end_ns)?;
        }
        let dying = self.follower.dying();
        if let Some(caches) = self.caches.as_mut().filter(|_| !dying.is_empty()) {
            let read = caches.read(&dying);
            self.feed_caches(read)?;
        }
        if let Some(mut slab) = self.slab.take() {
            slab.finish(end_ns, &mut |ledger, change| self.follower.show_slab(ledger, change))?;
            self.follower.keep_slab(slab.run, slab.ledger);
        }
        if let Some(resolver) = &self.resolver {
            resolver.wait_for_all(LAST_NAMES_WAIT);
            let missing = resolver.missing();
            self.take_names(None)?;
            if let Some(missing) = missing {
                self.feed(&Record::NamesMissing(missing))?;
            }
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
