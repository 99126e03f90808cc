//! Many CPUs, one order.
//!
//! Each hook counts its events on each CPU, so a (hook, CPU) pair is a *stream*: its sequence numbers run 1, 2, 3 …, and
//! the perf buffer of the CPU delivers them in that order. Between CPUs there is only the clock.
//!
//! Guaranteed: within a stream nothing is released twice or backwards, and whatever is missing is reported as
//! [`Record::Lost`] just before the event that revealed it. Not guaranteed: that time never goes back. An event that
//! arrives after the watermark passed its time is released at once rather than dropped; the tracker bears it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fmt::{Debug, Display},
    hash::Hash,
};

use foldhash::HashMap;
use memcg_trace_common::Hook;

use super::Snapshot;
use crate::{
    attribution::{Facts, NamesMissing},
    event::{DecodeError, Event},
    tracker::Key,
};

/// What the hooks of one eBPF object emit.
pub trait HookEvent: Sized {
    /// Which of its hooks; the number is the index of its counters.
    type Hook: Copy + Ord + Hash + Debug + Into<u32> + 'static;
    /// What a look at the kernel brings instead, when events were lost or before there were any.
    type Snapshot: Clone + Debug + PartialEq + Eq;
    type DecodeError: Display;

    fn decode(bytes: &[u8]) -> Result<Self, Self::DecodeError>;
    fn hook(&self) -> Self::Hook;
    fn cpu(&self) -> u32;
    /// Counts the events of this hook on this CPU from 1.
    fn seq(&self) -> u64;
    /// `CLOCK_MONOTONIC`, ns.
    fn t_ns(&self) -> u64;
}

impl HookEvent for Event {
    type Hook = Hook;
    type Snapshot = Snapshot;
    type DecodeError = DecodeError;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }

    fn hook(&self) -> Hook {
        self.hook()
    }

    fn cpu(&self) -> u32 {
        self.header().cpu
    }

    fn seq(&self) -> u64 {
        self.header().seq
    }

    fn t_ns(&self) -> u64 {
        self.t_ns()
    }
}

/// What a run is made of, in the order in which it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<E: HookEvent = Event> {
    Event(E),
    /// A walk of the kernel. It is not merged: it follows every event that is not younger than its end.
    Walk(E::Snapshot),
    /// Events that a hook emitted on a CPU and that never arrived; known at `t_ns` (`CLOCK_MONOTONIC`, ns).
    Lost {
        t_ns: u64,
        hook: E::Hook,
        cpu: u32,
        events: u64,
    },
    /// Firings that the kernel skipped, or a return whose entry was not seen; known at `t_ns` (`CLOCK_MONOTONIC`, ns).
    Missed {
        t_ns: u64,
        hook: E::Hook,
        firings: u64,
    },
    /// What the node told about a memcg, which may be about to be born. Not merged, and nothing to the ledger.
    Names {
        key: Key,
        facts: Vec<Facts>,
    },
    /// What the node was not asked about, for lack of time. Not merged, and nothing to the ledger.
    NamesMissing(NamesMissing),
    /// The slab caches that some memcgs had at `t_ns` (`CLOCK_MONOTONIC`, ns), by their names. Not merged: it is about memcgs
    /// that are dying when it is applied.
    Caches {
        t_ns: u64,
        /// Each of them holds its memcg.
        hold: bool,
        of: Vec<(Key, Vec<Box<[u8]>>)>,
    },
}

/// Puts the events of all CPUs in the order of time. Holds what is newer than the last watermark, nothing else.
#[derive(Debug)]
pub struct Merge<E: HookEvent = Event> {
    streams: HashMap<(E::Hook, u32), Stream<E>>,
    /// The first event of each stream that has any, oldest on top; entries whose event has moved on are skipped.
    heads: BinaryHeap<Reverse<Head<E::Hook>>>,
    /// Time of the newest event ever pushed, ns.
    newest_ns: u64,
    duplicates: u64,
}

/// The events of one hook on one CPU.
#[derive(Debug)]
struct Stream<E> {
    /// By sequence number.
    waiting: VecDeque<E>,
    /// Sequence number of the last event released.
    seq: u64,
    /// Time of the last event released, ns.
    t_ns: u64,
}

/// The place of an event in the order.
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

    /// Takes an event of any CPU. Batches of different CPUs may come in any order.
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

    /// Reports the loss that no later event of its stream has revealed. `emitted` is as in [`Merge::finish`], but read
    /// while events went on, at `t_ns`; the buffers were drained since, and what they held of that time was released.
    pub fn expect(
        &mut self,
        t_ns: u64,
        emitted: impl IntoIterator<Item = (E::Hook, u32, u64)>,
        mut out: impl FnMut(Record<E>),
    ) {
        for (hook, cpu, emitted) in emitted {
            let stream = self.streams.entry((hook, cpu)).or_default();
            let events = emitted.saturating_sub(stream.seq);
            // An event that waits will reveal the loss before it.
            if events > 0 && stream.waiting.is_empty() {
                stream.seq = emitted;
                out(Record::Lost { t_ns, hook, cpu, events });
            }
        }
    }

    /// How many events arrived more than once, or so late that they were already reported as lost. They were dropped.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// How many events wait for the watermark.
    pub fn pending(&self) -> usize {
        self.streams.values().map(|stream| stream.waiting.len()).sum()
    }
}

impl<E: HookEvent> Stream<E> {
    /// Place of the first event that waits. Its time is at least that of its predecessor: the NMI-safe clock behind
    /// `bpf_ktime_get_ns` may step back by a few ns, and that must not look like a gap.
    fn head(&self) -> Option<Head<E::Hook>> {
        let event = self.waiting.front()?;
        let t_ns = event.t_ns().max(self.t_ns);
        Some(Head { t_ns, cpu: event.cpu(), hook: event.hook(), seq: event.seq() })
    }
}
