//! Hooks as a stream in order: drained on a timer, with the loss that shows, walks where they belong, and an end that
//! accounts for every event. The same for every object.

use std::{
    mem,
    time::{Duration, Instant},
};

use super::{
    LiveError,
    live::{Checked, Live},
};
use crate::record::{HookEvent, Merge, Record};

/// How often the kernel is asked for missed firings.
const CHECK: Duration = Duration::from_secs(1);
/// An event is in its buffer this long after the instant it is stamped with.
const SETTLED_NS: u64 = 10_000_000;

/// What one [`Tap::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Everything up to this instant (`CLOCK_MONOTONIC`, ns) was appended.
    pub settled_ns: u64,
    /// A buffer fills fast: come back at once.
    pub pressed: bool,
    /// The kernel was asked for missed firings, as it is once a second.
    pub checked: bool,
}

impl Polled {
    /// Interval for draining the buffers; sooner if one of them fills fast.
    pub const PAUSE: Duration = Duration::from_millis(50);
    const PAUSE_PRESSED: Duration = Duration::from_millis(1);

    /// How long to wait before the next poll.
    pub fn pause(&self) -> Duration {
        if self.pressed { Self::PAUSE_PRESSED } else { Self::PAUSE }
    }
}

/// Attached hooks, and the order of what they emit. Dropping it detaches them.
pub struct Tap<E: HookEvent> {
    live: Live<E>,
    merge: Merge<E>,
    /// A walk that the events have not caught up with, and when it ended, ns.
    walk: Option<(u64, E::Snapshot)>,
    checked: Instant,
    /// What the hooks had emitted at the last check, and when that was, ns.
    emitted: (u64, Vec<(E::Hook, u32, u64)>),
    /// Firings of the end, which are told behind everything else.
    missed: Vec<(E::Hook, u64)>,
    undecodable: u64,
}

impl<E: HookEvent> Tap<E> {
    pub fn new(live: Live<E>) -> Self {
        Self {
            live,
            merge: Merge::new(),
            walk: None,
            checked: Instant::now(),
            emitted: (0, Vec::new()),
            missed: Vec::new(),
            undecodable: 0,
        }
    }

    pub fn live(&self) -> &Live<E> {
        &self.live
    }

    /// Records of the perf buffers so far that were not events of this ABI.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Puts a walk that ended at `ended_ns` (`CLOCK_MONOTONIC`) behind all events up to then.
    pub fn place(&mut self, ended_ns: u64, walk: E::Snapshot) {
        self.walk = Some((ended_ns, walk));
    }

    /// A walk that waits for the events before it.
    pub fn waiting(&self) -> Option<&E::Snapshot> {
        self.walk.as_ref().map(|(_, walk)| walk)
    }

    /// Drains, and appends what is settled at `now_ns` (`CLOCK_MONOTONIC`), in order; once a second with the loss that the
    /// hooks' counters show.
    pub fn poll(&mut self, now_ns: u64, out: &mut Vec<Record<E>>) -> Result<Polled, LiveError> {
        let pressed = self.drain();
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        self.release(settled_ns, out);
        let checked = self.checked.elapsed() >= CHECK;
        if checked {
            self.checked = Instant::now();
            let Checked { missed, emitted } = self.live.check()?;
            tell_missed(now_ns, missed, out);
            // Emitted by the check before: drained by now, unless it was lost.
            let (t_ns, emitted) = mem::replace(&mut self.emitted, (now_ns, emitted));
            self.merge.expect(t_ns, emitted, |record| out.push(record));
        }
        Ok(Polled { settled_ns, pressed, checked })
    }

    /// The first half of the end, with the hooks still attached: appends everything up to `end_ns`.
    pub fn close(&mut self, end_ns: u64, out: &mut Vec<Record<E>>) -> Result<(), LiveError> {
        self.missed = self.live.check()?.missed;
        self.drain();
        self.release(end_ns, out);
        Ok(())
    }

    /// The second half: detaches, and appends the rest. Every event that was emitted is in a record or in one that tells its
    /// loss.
    pub fn finish(&mut self, end_ns: u64, out: &mut Vec<Record<E>>) -> Result<(), LiveError> {
        let emitted = self.live.detach()?;
        self.drain();
        self.release(u64::MAX, out);
        self.merge.finish(emitted.events, |record| out.push(record));
        let missed = mem::take(&mut self.missed).into_iter().chain(emitted.unreturned);
        tell_missed(end_ns, missed, out);
        Ok(())
    }

    /// True: a buffer fills fast.
    fn drain(&mut self) -> bool {
        let drained = self.live.drain(&mut self.merge);
        self.undecodable += drained.undecodable;
        drained.pressed
    }

    /// Takes what the merge has up to `settled_ns`, and a walk in its place among it.
    fn release(&mut self, settled_ns: u64, out: &mut Vec<Record<E>>) {
        if let Some((ended_ns, walk)) = self.walk.take_if(|(ended_ns, _)| *ended_ns <= settled_ns) {
            self.merge.release(ended_ns, |record| out.push(record));
            out.push(Record::Walk(walk));
        }
        self.merge.release(settled_ns, |record| out.push(record));
    }
}

fn tell_missed<E: HookEvent>(
    t_ns: u64,
    missed: impl IntoIterator<Item = (E::Hook, u64)>,
    out: &mut Vec<Record<E>>,
) {
    out.extend(missed.into_iter().map(|(hook, firings)| Record::Missed { t_ns, hook, firings }));
}
