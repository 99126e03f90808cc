//! The engine: feeds the book of a run, and notifies observers.
//!
//! It attaches, drains, walks, looks up names and evidence, and accounts for every event at the end. It prints nothing:
//! everything that shows, counts or serves changes is an [`Observer`].

mod book;
mod cgroup_glob;
mod durations;
mod empty;
mod evidence;
mod flight;
mod history;
mod names;
mod observer;
mod playback;
mod recorder;
mod recordings;
mod refresh;
mod replay;
mod rollup;
mod slab_owners;
mod slab_watcher;
mod stop;
mod survey;
mod tally;

use std::{future::pending, mem, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

pub use book::Book;
pub use cgroup_glob::CgroupGlob;
pub use durations::{DurationClass, Durations};
pub use empty::Empty;
pub use flight::Flight;
pub use history::{Bucket, History};
pub use names::names_of_all;
pub use observer::{Observer, SlabObserver};
pub use playback::Playback;
pub use replay::{Replayed, book_of, replay};
pub use rollup::Rollup;
pub use slab_owners::OwnerWalk;
pub use slab_watcher::{MEMCGS_UNKNOWN, SlabWatcher};
pub use stop::Stop;
pub use survey::Survey;
pub use tally::{
    AllocFailures, EventCounts, LeakSeen, Lifetimes, Measured, RunTally, WalkTimes, WorkloadCounts,
    Workloads, counts_as_leaked,
};

use self::{
    evidence::LeakEvidence, names::NameFinder, observer::tell, recordings::Recordings, refresh::Refresh,
};
use crate::{
    cause::Explanation,
    event::Key,
    kernel::{Kernel, ability::AbilityId, clock, privileges},
    record::{End, Learned, Record, Snapshot, Start},
    source::{Feed, Polled, Stream, Wanted, names::Resolver},
};

/// Total time that a drain waits for the names of new containers: files take less than a millisecond. Names that take
/// longer are added with a later event.
const NAMES_WAIT: Duration = Duration::from_millis(5);
/// What leaks within this time is looked at together with what leaks now: the next look may have to rest.
const AHEAD_NS: u64 = 1_000_000_000;
/// Interval for checking families of slab caches that grow.
const SLAB_LOOK: Duration = Duration::from_secs(10);

/// Configuration of a run.
pub struct Setup<'a> {
    pub wanted: Wanted,
    pub btf: Option<&'a Path>,
    /// Also follow slab caches.
    pub slab: bool,
    /// Count by owner; see [`Book::new`].
    pub by: Option<Rollup>,
    /// File for the recording.
    pub record: Option<&'a Path>,
    /// Directory for recordings that follow each other.
    pub flight: Option<Flight<'a>>,
    /// `None`: do not look up names.
    pub names: Option<Resolver>,
    /// How often to walk, and to look at what pins dying memcgs, although nothing asks for it: events do not tell what
    /// they are charged for by now, nor what lets go of them. `None`: only when something was lost or leaks.
    pub refresh: Option<Duration>,
}

/// A run: a feed, its book, and additional sources of records.
pub struct Session<F = Stream> {
    feed: F,
    book: Book,
    evidence: LeakEvidence,
    names: Option<NameFinder>,
    recordings: Recordings,
    /// Slab caches, and the time of the last check for growth.
    slab: Option<(SlabWatcher, Instant)>,
    refresh: Option<Refresh>,
    /// Kept between calls to reuse its memory.
    records: Vec<Record>,
}

/// A run that has ended.
pub struct Ended {
    pub book: Book,
    pub end: End,
    /// Slab caches at the end, if they were followed.
    pub slab: Option<SlabWatcher>,
    /// Whether what was recorded is complete.
    pub recorded: bool,
}

impl Session {
    /// Probes the kernel, attaches, reads existing memcgs, and drops privileges that are no longer needed.
    pub fn start(setup: Setup<'_>) -> Result<Self> {
        let mut kernel = Kernel::probe(setup.btf)?;
        let counters = if setup.refresh.is_some() { kernel.find_counters() } else { Ok(()) };
        let (feed, mut start) = Stream::open(&kernel, &setup.wanted)?;
        let evidence = LeakEvidence::open(&kernel, setup.btf, &mut start.unknown);
        if let Err(error) = counters {
            start.unknown.push((AbilityId::Counters.to_string(), error.to_string()));
        }
        let slab =
            setup.slab.then(|| SlabWatcher::start(setup.wanted.grace_ns, setup.btf, false)).transpose()?;
        let recordings = Recordings::start(setup.record, setup.flight.as_ref(), &start)?;
        privileges::drop_unneeded();
        release_memory();
        Ok(Self {
            feed,
            book: Book::new(start, setup.by),
            evidence,
            names: setup.names.map(NameFinder::new),
            recordings,
            slab: slab.map(|slab| (slab, Instant::now())),
            refresh: setup.refresh.map(Refresh::every),
            records: Vec::new(),
        })
    }

    /// The initial walk, until the events have caught up with it; `None`: not walked.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.feed.snapshot()
    }

    pub fn slab(&self) -> Option<&SlabWatcher> {
        self.slab.as_ref().map(|(slab, _)| slab)
    }

    /// Records the run from now on, too, to a file that does not exist yet; it begins with what is known.
    pub fn record(&mut self, path: &Path) -> Result<()> {
        self.recordings.start_new(path, &self.book)
    }

    /// What pins one memcg right now; `None`: it was freed, or it cannot be read here. Takes as long as the looks before leaks.
    pub fn explain(&mut self, memcg: Key) -> Result<Option<Explanation>> {
        self.evidence.explain(memcg).context("cannot read what refers to it")
    }

    /// Ends what it is recorded to; returns whether that is complete.
    pub fn end_recording(&mut self) -> bool {
        let (ended_ns, clock) = (clock::monotonic_ns(), clock::offsets());
        self.recordings.finish(&End { ended_ns, clock, undecodable: self.feed.undecodable() })
    }
}

impl<F: Feed> Session<F> {
    /// A run with only a feed and a book.
    pub fn of(feed: F, start: Start) -> Self {
        Self {
            feed,
            book: Book::new(start, None),
            evidence: LeakEvidence::default(),
            names: None,
            recordings: Recordings::default(),
            slab: None,
            refresh: None,
            records: Vec::new(),
        }
    }

    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Runs until a signal, the end of `duration`, or until the observer stops it.
    pub async fn run(
        mut self,
        mut stop: Stop,
        duration: Option<Duration>,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<Ended> {
        self.follow(&mut stop, duration, observer).await?;
        drop(stop);
        self.finish(observer)
    }

    /// The same without the end: what was not drained so far is left out, and nobody sums up. Dropping it detaches.
    pub async fn follow(
        &mut self,
        stop: &mut Stop,
        duration: Option<Duration>,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<()> {
        let end = duration.map(|duration| Instant::now() + duration);
        let wake = observer.wake();
        let mut pause = Polled::PAUSE;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = notified(wake.as_deref()) => {}
                () = stop.requested(end) => return Ok(()),
            }
            pause = self.poll(observer)?.pause();
            if observer.tick(&self.book)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Drains, and applies settled records.
    pub fn poll(&mut self, observer: &mut (impl Observer + ?Sized)) -> Result<Polled> {
        self.recordings.keep_up(&self.book, self.feed.undecodable());
        self.enter_names(None, observer)?;
        let refresh = self.refresh.as_ref().is_some_and(Refresh::is_due);
        let wants_walk = self.book.tracker().wants_walk() || refresh;
        let polled = self.feed.poll(wants_walk, &mut self.records)?;
        if polled.checked {
            self.recordings.flush();
        }
        self.enter_all(polled.settled_ns, observer)?;
        // The feed walks where it checks, too.
        if refresh && polled.checked {
            self.refresh.iter_mut().for_each(Refresh::restart);
            let evidence = self.evidence.again(&self.book.dying());
            evidence.into_iter().try_for_each(|record| self.enter(&record, observer))?;
            release_memory();
        }
        if let Some((slab, looked)) = &mut self.slab {
            slab.poll(clock::monotonic_ns(), observer)?;
            if looked.elapsed() >= SLAB_LOOK {
                *looked = Instant::now();
                slab.look(observer)?;
            }
        }
        Ok(polled)
    }

    /// Detaches, accounts for every emitted event, and closes the book.
    pub fn finish(mut self, observer: &mut (impl Observer + ?Sized)) -> Result<Ended> {
        let ended_ns = self.feed.end(&mut self.records)?;
        self.enter_all(ended_ns, observer)?;
        if self.book.tracker().wants_walk() {
            self.feed.walk(&mut self.records);
            self.enter_all(ended_ns, observer)?;
        }
        let evidence = self.evidence.at_the_end(&self.book.dying());
        evidence.iter().try_for_each(|record| self.enter(record, observer))?;
        let mut slab = self.slab.take().map(|(slab, _)| slab);
        if let Some(slab) = &mut slab {
            slab.finish(ended_ns, observer)?;
        }
        if let Some(names) = &self.names {
            let missing = names.wait();
            self.enter_names(None, observer)?;
            missing.iter().try_for_each(|record| self.enter(record, observer))?;
        }
        let end = End { ended_ns, clock: clock::offsets(), undecodable: self.feed.undecodable() };
        let recorded = self.recordings.finish(&end);
        self.book.settle();
        tell(&self.book, observer)?;
        Ok(Ended { book: self.book, end, slab, recorded })
    }

    /// Applies the pending records, then advances the time to `now_ns`.
    fn enter_all(&mut self, now_ns: u64, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
        let tracker = self.book.tracker();
        let unread = |key: &Key| tracker.get(key).is_some_and(|memcg| memcg.pinned.is_none());
        let due: Vec<_> = match tracker.due(now_ns).any(|key| unread(&key)) {
            true => tracker.due(now_ns.saturating_add(AHEAD_NS)).collect(),
            false => Vec::new(),
        };
        let evidence = self.evidence.before_leaks(&due);
        evidence.iter().try_for_each(|record| self.enter(record, observer))?;
        let mut records = mem::take(&mut self.records);
        let (mut patience, mut walked) = (NAMES_WAIT, false);
        for record in records.drain(..) {
            if let (Record::Event(event), Some(names)) = (&record, &self.names)
                && let Some(born) = names.ask(&self.book, event, &mut patience)
            {
                self.enter_names(Some(born), observer)?;
            }
            self.enter(&record, observer)?;
            if matches!(record, Record::Walk(_)) {
                walked = true;
                self.enter_names_before(observer)?;
                self.names.iter_mut().for_each(|names| names.ask_for_all(&self.book));
            }
        }
        if walked {
            release_memory();
        }
        self.records = records;
        self.names.iter().for_each(NameFinder::wake);
        self.recordings.time(now_ns);
        self.book.advance(now_ns);
        tell(&self.book, observer)
    }

    /// Applies the names found so far; `next`: also those of the memcg of the next event.
    fn enter_names(&mut self, next: Option<Key>, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        let found = names.found(&self.book, next);
        found.iter().try_for_each(|record| self.enter(record, observer))
    }

    /// Applies what earlier runs learnt about memcgs that still exist.
    fn enter_names_before(&mut self, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
        for (key, facts) in self.recordings.names_before() {
            if self.names.is_some() && self.book.tracker().get(&key).is_some() {
                self.enter(&Record::Learned(Learned::Names { key, facts }), observer)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, record: &Record, observer: &mut (impl Observer + ?Sized)) -> Result<()> {
        self.recordings.record(record);
        self.book.apply(record);
        tell(&self.book, observer)?;
        match record {
            Record::Walk(walk) => observer.walked(&self.book, walk),
            _ => Ok(()),
        }
    }
}

/// For ever, if nobody ever notifies.
async fn notified(wake: Option<&Notify>) {
    match wake {
        Some(wake) => wake.notified().await,
        None => pending().await,
    }
}

/// Returns memory to the system that was used for a moment: for the setup, in which the kernel's BTF alone takes 6 MB, for a walk,
/// or for a look at what pins.
pub fn release_memory() {
    // SAFETY: takes no pointers; glibc locks its arenas.
    unsafe { libc::malloc_trim(0) };
}
