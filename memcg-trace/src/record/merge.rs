//! Merges the events of all CPUs into one order.
//!
//! Each hook numbers its events per CPU, so a (hook, CPU) pair is a *stream*: its sequence numbers are 1, 2, 3 …, and
//! the perf buffer of the CPU delivers them in that order. Across CPUs there is only the clock.
//!
//! Guaranteed: within a stream nothing is released twice or backwards, and whatever is missing is reported as
//! [`Record::Lost`] just before the event that revealed it. Not guaranteed: that time never goes back. An event that
//! arrives after the watermark passed its time is released at once rather than dropped; the tracker copes with it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use foldhash::HashMap;

use super::{HookEvent, Record};
use crate::event::Event;

/// Orders the events of all CPUs by time. Only buffers events newer than the last watermark.
#[derive(Debug)]
pub struct Merge<E: HookEvent = Event> {
    streams: HashMap<(E::Hook, u32), Stream<E>>,
    /// The first event of each non-empty stream, oldest on top; stale entries are skipped.
    heads: BinaryHeap<Reverse<Head<E::Hook>>>,
    /// Time of the newest event ever pushed, ns.
    newest_ns: u64,
    duplicates: u64,
}

/// The events of one hook on one CPU.
#[derive(Debug)]
struct Stream<E> {
    /// Buffered events, by sequence number.
    waiting: VecDeque<E>,
    /// Sequence number of the last event released.
    seq: u64,
    /// Time of the last event released, ns.
    t_ns: u64,
}

/// Position of an event in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head<H> {
    t_ns: u64,
    cpu: u32,
    hook: H,
    seq: u64,
}

impl<E: HookEvent> Default for Merge<E> {
    fn default() -> Self {
        Self { streams: HashMap::default(), heads: BinaryHeap::new(), newest_ns: 0, duplicates: 0 }
    }
}

impl<E> Default for Stream<E> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), seq: 0, t_ns: 0 }
    }
}

impl<E: HookEvent> Merge<E> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event of any CPU. Batches of different CPUs may come in any order.
    pub fn push(&mut self, event: E) {
        let (hook, cpu, seq) = (event.hook(), event.cpu(), event.seq());
        self.newest_ns = self.newest_ns.max(event.t_ns());
        let stream = self.streams.entry((hook, cpu)).or_default();
        let place = match stream.waiting.back() {
            Some(last) if last.seq() > seq => stream.waiting.partition_point(|other| other.seq() <= seq),
            _ => stream.waiting.len(),
        };
        stream.waiting.insert(place, event);
        if place == 0 {
            self.heads.extend(stream.head().map(Reverse));
        }
    }

    /// Releases everything up to and including `watermark_ns` (`CLOCK_MONOTONIC`), oldest first, then by CPU, hook and
    /// sequence number.
    pub fn release(&mut self, watermark_ns: u64, mut out: impl FnMut(Record<E>)) {
        while let Some(&Reverse(head)) = self.heads.peek()
            && head.t_ns <= watermark_ns
        {
            self.heads.pop();
            let stream = self.streams.entry((head.hook, head.cpu)).or_default();
            if stream.head() != Some(head) {
                continue;
            }
            let Some(event) = stream.waiting.pop_front() else { continue };
            let missing = head.seq.saturating_sub(stream.seq).checked_sub(1);
            if let Some(missing) = missing {
                (stream.seq, stream.t_ns) = (head.seq, head.t_ns);
                if missing > 0 {
                    let Head { t_ns, cpu, hook, .. } = head;
                    out(Record::Lost { t_ns, hook, cpu, events: missing });
                }
                out(Record::Event(event));
            } else {
                self.duplicates += 1;
            }
            self.heads.extend(stream.head().map(Reverse));
        }
    }

    /// Releases the rest, then reports what each stream emitted but never delivered. `emitted` holds, per hook and CPU,
    /// [`memcg_trace_common::Counters::emitted`], read after the hooks were detached and the buffers drained.
    pub fn finish(
        &mut self,
        emitted: impl IntoIterator<Item = (E::Hook, u32, u64)>,
        mut out: impl FnMut(Record<E>),
    ) {
        self.release(u64::MAX, &mut out);
        self.expect(self.newest_ns, emitted, out);
    }

    /// Reports loss that no later event of its stream has revealed. `emitted` is as in [`Merge::finish`], but read at
    /// `t_ns` while the hooks were attached; since then, the buffers were drained and all events up to that time
    /// released.
    pub fn expect(
        &mut self,
        t_ns: u64,
        emitted: impl IntoIterator<Item = (E::Hook, u32, u64)>,
        mut out: impl FnMut(Record<E>),
    ) {
        for (hook, cpu, emitted) in emitted {
            let stream = self.streams.entry((hook, cpu)).or_default();
            let events = emitted.saturating_sub(stream.seq);
            // A buffered event will reveal the loss before it.
            if events > 0 && stream.waiting.is_empty() {
                stream.seq = emitted;
                out(Record::Lost { t_ns, hook, cpu, events });
            }
        }
    }

    /// Number of events dropped because they arrived twice, or after they had been reported as lost.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Number of events that wait for the watermark.
    pub fn pending(&self) -> usize {
        self.streams.values().map(|stream| stream.waiting.len()).sum()
    }
}

impl<E: HookEvent> Stream<E> {
    /// Position of the first buffered event. Its time is at least that of its predecessor: the NMI-safe clock behind
    /// `bpf_ktime_get_ns` may step back by a few ns, which must not look like a gap.
    fn head(&self) -> Option<Head<E::Hook>> {
        let event = self.waiting.front()?;
        let t_ns = event.t_ns().max(self.t_ns);
        Some(Head { t_ns, cpu: event.cpu(), hook: event.hook(), seq: event.seq() })
    }
}
