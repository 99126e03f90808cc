//! The live stream in order: buffers drained on a timer, loss told, walks put where they belong among the events.

use std::{
    mem,
    time::{Duration, Instant},
};

use anyhow::Result;
use memcg_trace_common::Hook;

use super::{
    live::{Checked, Live, LiveError, Options},
    mkdir_paths::Asked,
    take_walk,
};
use crate::{
    kernel::{Kernel, boot, clock, walk::Walk},
    record::{Backend, Clock, Merge, Record, Snapshot, Start},
};

/// How often the kernel is asked for missed firings.
const CHECK: Duration = Duration::from_secs(1);
/// An event is in its buffer this long after the instant it is stamped with.
const SETTLED_NS: u64 = 10_000_000;

/// What to follow, and how.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `None`: the best that this kernel allows.
    pub backend: Option<Backend>,
    /// See [`Options::perf_pages`].
    pub perf_pages: Option<usize>,
    /// Read what is there already, and make good for loss.
    pub walk: bool,
    pub grace_ns: u64,
    pub clock: Clock,
}

/// Where records come from, whoever keeps the ledger.
pub trait Feed {
    /// Appends what happened until now, in order. `wants_walk`: the ledger could use a walk.
    fn poll(&mut self, wants_walk: bool, out: &mut Vec<Record>) -> Result<Polled>;

    /// Detaches, and appends the rest: every event that was emitted is in a record or in one that tells its loss.
    /// Returns when (`CLOCK_MONOTONIC`, ns) the end was.
    fn end(&mut self, out: &mut Vec<Record>) -> Result<u64>;

    /// Records of the perf buffers so far that were not events of this ABI.
    fn undecodable(&self) -> u64;

    /// Appends one more walk, if the kernel can be walked.
    fn walk(&mut self, out: &mut Vec<Record>);
}

/// What one [`Feed::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Everything up to this instant (`CLOCK_MONOTONIC`, ns) was appended.
    pub settled_ns: u64,
    /// A buffer fills fast: come back at once.
    pub pressed: bool,
    /// The kernel was asked for missed firings, as it is once a second.
    pub checked: bool,
}

/// The hooks and the walks of one run.
pub struct Stream {
    live: Live,
    merge: Merge,
    /// `None`: not wanted, or this kernel cannot be walked.
    walk: Option<Walk>,
    /// Paths are what threads asked for.
    asked: Option<Asked>,
    /// A walk that the events have not caught up with.
    snapshot: Option<Snapshot>,
    checked: Instant,
    /// What the hooks had emitted at the last check, and when that was, ns.
    emitted: (u64, Vec<(Hook, u32, u64)>),
    undecodable: u64,
}

impl Stream {
    /// Attaches, and reads what is there already.
    pub fn open(kernel: &Kernel, wanted: &Wanted) -> Result<(Self, Start)> {
        let mut walk = if wanted.walk { kernel.walk() } else { None };
        let live = Live::open(&Options {
            backend: wanted.backend,
            perf_pages: wanted.perf_pages,
            ..Options::of(kernel)
        })?;
        // After attaching: what comes later is in the stream, what was there before is in the walk, or in the census.
        let snapshot = walk.as_mut().map(take_walk).transpose()?;
        let census = match snapshot {
            Some(_) => None,
            None => Some(kernel.census()),
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
            clock: wanted.clock,
            started_ns: clock::monotonic_ns(),
            grace_ns: wanted.grace_ns,
            live: Some(census.as_ref().map_or(0, |census| census.live)),
            dying_unseen,
            paths: census.map(|census| census.paths).unwrap_or_default(),
        };
        let stream = Self {
            live,
            merge: Merge::new(),
            walk,
            asked: Asked::of(kernel),
            snapshot,
            checked: Instant::now(),
            emitted: (0, Vec::new()),
            undecodable: 0,
        };
        Ok((stream, start))
    }

    /// The first walk, until the events have caught up with it.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Walks. A walk that fails is the last one: the stream goes on, and what only a walk can make good for stays
    /// inconclusive.
    fn take_snapshot(&mut self) -> Option<Snapshot> {
        match take_walk(self.walk.as_mut()?) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                log::warn!("no more walks: {error:#}");
                self.walk = None;
                None
            }
        }
    }

    /// Reads the counters of the hooks, and tells the loss that they show.
    fn check(&mut self, now_ns: u64, out: &mut Vec<Record>) -> Result<(), LiveError> {
        self.checked = Instant::now();
        let Checked { missed, emitted } = self.live.check()?;
        out.extend(missed.into_iter().map(|(hook, firings)| Record::Missed { t_ns: now_ns, hook, firings }));
        // Emitted by the check before: drained by now, unless it was lost.
        let (t_ns, emitted) = mem::replace(&mut self.emitted, (now_ns, emitted));
        self.merge.expect(t_ns, emitted, |record| out.push(record));
        Ok(())
    }

    /// Takes what the merge has up to `settled_ns`, and a walk in its place among it.
    fn release(&mut self, settled_ns: u64, out: &mut Vec<Record>) {
        let first = out.len();
        if let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.ended_ns <= settled_ns) {
            self.merge.release(snapshot.ended_ns, |record| out.push(record));
            out.push(Record::Walk(snapshot));
        }
        self.merge.release(settled_ns, |record| out.push(record));
        if let Some(asked) = &self.asked {
            out[first..].iter_mut().for_each(|record| asked.place(record));
        }
    }
}

impl Feed for Stream {
    fn poll(&mut self, wants_walk: bool, out: &mut Vec<Record>) -> Result<Polled> {
        let now_ns = clock::monotonic_ns();
        let drained = self.live.drain(&mut self.merge);
        self.undecodable += drained.undecodable;
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        self.release(settled_ns, out);
        let checked = self.checked.elapsed() >= CHECK;
        if checked {
            self.check(now_ns, out)?;
            if wants_walk && self.snapshot.is_none() {
                self.snapshot = self.take_snapshot();
            }
        }
        Ok(Polled { settled_ns, pressed: drained.pressed, checked })
    }

    fn end(&mut self, out: &mut Vec<Record>) -> Result<u64> {
        let end_ns = clock::monotonic_ns();
        let missed = self.live.check()?.missed;
        // The first walk may still wait for the events before it.
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.release(end_ns, out);
        // References, charges and IDs of the survivors as they are now.
        self.snapshot = self.take_snapshot();
        let emitted = self.live.detach()?;
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.release(u64::MAX, out);
        self.merge.finish(emitted.events, |record| out.push(record));
        let missed = missed.into_iter().chain(emitted.unreturned);
        out.extend(missed.map(|(hook, firings)| Record::Missed { t_ns: end_ns, hook, firings }));
        Ok(end_ns)
    }

    fn undecodable(&self) -> u64 {
        self.undecodable
    }

    fn walk(&mut self, out: &mut Vec<Record>) {
        out.extend(self.take_snapshot().map(Record::Walk));
    }
}
