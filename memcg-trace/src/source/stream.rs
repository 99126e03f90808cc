//! The ordered live stream: drains buffers on a timer, reports loss, and inserts walks among the events.

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

/// Interval for reading the counters of missed firings.
const CHECK: Duration = Duration::from_secs(1);
/// Maximum time from an event's timestamp until it is in its buffer.
const SETTLED_NS: u64 = 10_000_000;

/// Configuration of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `None`: the best that this kernel supports.
    pub backend: Option<Backend>,
    /// See [`Options::perf_pages`].
    pub perf_pages: Option<usize>,
    /// Walk at the start, and to reconcile losses.
    pub walk: bool,
    pub grace_ns: u64,
    pub clock: Clock,
}

/// A source of records.
pub trait Feed {
    /// Appends the records up to now, in order. `wants_walk`: the ledger could use a walk.
    fn poll(&mut self, wants_walk: bool, out: &mut Vec<Record>) -> Result<Polled>;

    /// Detaches, and appends the rest: every emitted event is in a record, or counted in one of its loss. Returns the
    /// time of the end (`CLOCK_MONOTONIC`, ns).
    fn end(&mut self, out: &mut Vec<Record>) -> Result<u64>;

    /// Number of records in the perf buffers so far that were not events of this ABI.
    fn undecodable(&self) -> u64;

    /// Appends one more walk, if the kernel can be walked.
    fn walk(&mut self, out: &mut Vec<Record>);
}

/// Result of a [`Feed::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Everything up to this time (`CLOCK_MONOTONIC`, ns) was appended.
    pub settled_ns: u64,
    /// A buffer fills fast: poll again at once.
    pub pressed: bool,
    /// Missed firings were read, which happens once a second.
    pub checked: bool,
}

/// The hooks and the walks of one run.
pub struct Stream {
    live: Live,
    merge: Merge,
    /// `None`: disabled, or this kernel cannot be walked.
    walk: Option<Walk>,
    /// Set if paths come from the mkdir calls of threads.
    asked: Option<Asked>,
    /// A walk newer than the events released so far.
    snapshot: Option<Snapshot>,
    checked: Instant,
    /// Events emitted by the hooks at the last check, and its time, ns.
    emitted: (u64, Vec<(Hook, u32, u64)>),
    undecodable: u64,
}

impl Stream {
    /// Attaches, and reads existing memcgs.
    pub fn open(kernel: &Kernel, wanted: &Wanted) -> Result<(Self, Start)> {
        let mut walk = if wanted.walk { kernel.walk() } else { None };
        let live = Live::open(&Options {
            backend: wanted.backend,
            perf_pages: wanted.perf_pages,
            ..Options::of(kernel)
        })?;
        // After attaching: later memcgs are in the stream, earlier ones in the walk or the census.
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

    /// Walks. After a failed walk there are no more: the stream continues, and losses stay inconclusive.
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

    /// Reads the counters of the hooks, and reports loss.
    fn check(&mut self, now_ns: u64, out: &mut Vec<Record>) -> Result<(), LiveError> {
        self.checked = Instant::now();
        let Checked { missed, emitted } = self.live.check()?;
        out.extend(missed.into_iter().map(|(hook, firings)| Record::Missed { t_ns: now_ns, hook, firings }));
        // Events emitted before the previous check: drained by now, unless lost.
        let (t_ns, emitted) = mem::replace(&mut self.emitted, (now_ns, emitted));
        self.merge.expect(t_ns, emitted, |record| out.push(record));
        Ok(())
    }

    /// Releases events up to `settled_ns`, and inserts the walk at its place.
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
        // The first walk may still be waiting for events.
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.release(end_ns, out);
        // Current references, charges and IDs of the survivors.
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
