//! The ordered live stream: drains buffers on a timer, reports loss, and inserts walks among the events.

use anyhow::Result;

use super::{
    BufferSize,
    live::Live,
    loading::Options,
    mkdir_paths::MkdirPaths,
    take_counted_walk, take_walk,
    tap::{Polled, Tap},
};
use crate::{
    event::Event,
    kernel::{Kernel, boot, clock, page_bytes, walk::Walk},
    record::{Backend, Clock, Record, Snapshot, Start},
};

/// Configuration of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `None`: the best that this kernel supports.
    pub backend: Option<Backend>,
    /// Pages of each CPU's perf buffer; `None`: see [`BufferSize::Fitting`].
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

/// After so many in a row that failed, nobody walks any more.
const FAILED_WALKS_MAX: u32 = 5;

/// The hooks and the walks of one run.
pub struct Stream {
    tap: Tap<Event>,
    /// `None`: disabled, or this kernel cannot be walked.
    walk: Option<Walk>,
    /// In a row.
    failed_walks: u32,
    /// Set if paths come from the mkdir calls of threads.
    mkdir_paths: Option<MkdirPaths>,
}

impl Stream {
    /// Attaches, and reads existing memcgs.
    pub fn open(kernel: &Kernel, wanted: &Wanted) -> Result<(Self, Start)> {
        let walk = if wanted.walk { kernel.walk() } else { None };
        let options = Options::of(kernel);
        let buffer_size = wanted.perf_pages.map_or(options.buffer_size, BufferSize::Pages);
        let live = Live::open(&Options { backend: wanted.backend, buffer_size, ..options })?;
        let mut stream =
            Self { tap: Tap::new(live), walk, failed_walks: 0, mkdir_paths: MkdirPaths::of(kernel) };
        // After attaching: later memcgs are in the stream, earlier ones in the walk or the census.
        if let Some(walk) = &mut stream.walk {
            let snapshot = take_walk(walk)?;
            stream.tap.place(snapshot.ended_ns, snapshot);
        }
        let census = match stream.snapshot() {
            Some(_) => None,
            None => Some(kernel.census()),
        };
        let live = stream.tap.live();
        let start = Start {
            kernel: boot::release(),
            boot_id: boot::id(),
            controller: kernel.controller.to_string(),
            backend: live.backend(),
            backend_reason: live
                .fallback()
                .map(|error| format!("the kprobe backend does not work here: {error}")),
            unknown: live.absent().map(|(what, error)| (what.to_owned(), error.to_string())).collect(),
            page_bytes: page_bytes() as u64,
            perf_pages: live.perf_pages() as u64,
            layout: kernel.layout,
            clock: wanted.clock,
            started_ns: clock::monotonic_ns(),
            grace_ns: wanted.grace_ns,
            live: Some(census.as_ref().map_or(0, |census| census.live)),
            dying_unseen: census.as_ref().map_or(Some(0), |census| census.dying),
            paths: census.map(|census| census.paths).unwrap_or_default(),
            segment: None,
        };
        Ok((stream, start))
    }

    /// The first walk, until the events have caught up with it.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.tap.waiting()
    }

    /// Walks. One that missed memcgs proves nothing about those that it did not see: it has failed. What was lost stays
    /// inconclusive then, until another one succeeds; after some failures in a row there are no more.
    fn take_snapshot(&mut self) -> Option<Snapshot> {
        let failure = match take_counted_walk(self.walk.as_mut()?) {
            Ok((snapshot, 0)) => {
                self.failed_walks = 0;
                return Some(snapshot);
            }
            Ok((_, missed)) => format!("{missed} memcgs could not be read"),
            Err(error) => format!("{error:#}"),
        };
        self.failed_walks += 1;
        if self.failed_walks < FAILED_WALKS_MAX {
            log::warn!("a walk failed: {failure}");
        } else {
            log::warn!("no more walks, the last {FAILED_WALKS_MAX} failed: {failure}");
            self.walk = None;
        }
        None
    }

    /// Walks, and puts the walk where it belongs among the events.
    fn place_snapshot(&mut self) {
        if let Some(snapshot) = self.take_snapshot() {
            self.tap.place(snapshot.ended_ns, snapshot);
        }
    }

    fn place_paths(&self, records: &mut [Record]) {
        if let Some(paths) = &self.mkdir_paths {
            records.iter_mut().for_each(|record| paths.place(record));
        }
    }
}

impl Feed for Stream {
    fn poll(&mut self, wants_walk: bool, out: &mut Vec<Record>) -> Result<Polled> {
        let first = out.len();
        let polled = self.tap.poll(clock::monotonic_ns(), out)?;
        self.place_paths(&mut out[first..]);
        if polled.checked && wants_walk && self.tap.waiting().is_none() {
            self.place_snapshot();
        }
        Ok(polled)
    }

    fn end(&mut self, out: &mut Vec<Record>) -> Result<u64> {
        let (first, end_ns) = (out.len(), clock::monotonic_ns());
        // The first walk may still be waiting for events.
        self.tap.close(end_ns, out)?;
        self.place_paths(&mut out[first..]);
        // Current references, charges and IDs of the survivors.
        self.place_snapshot();
        let rest = out.len();
        self.tap.finish(end_ns, out)?;
        self.place_paths(&mut out[rest..]);
        Ok(end_ns)
    }

    fn undecodable(&self) -> u64 {
        self.tap.undecodable()
    }

    fn walk(&mut self, out: &mut Vec<Record>) {
        out.extend(self.take_snapshot().map(Record::Walk));
    }
}
