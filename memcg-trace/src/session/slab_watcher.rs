//! A ledger of slab caches, fed by hooks or, if these cannot be attached, by periodically reading the kernel's list.

use std::{path::Path, time::Duration};

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{OwnerWalk, SlabObserver, Stop};
use crate::{
    kernel::{clock, hooks::slab_plan, privileges, slab::listing},
    slab::{Owners, SlabBackend, SlabConfig, SlabLedger, SlabRecord, SlabRun},
    source::slab::SlabSource,
};

/// What is unknown if memcgs cannot be walked.
pub const MEMCGS_UNKNOWN: &str =
    "whose caches those of memcgs are, and which of them have outlived their memcgs";

/// Interval for draining the buffers.
const POLL: Duration = Duration::from_millis(50);

/// The ledger, its feed, and further facts for the summary.
pub struct SlabWatcher {
    /// `None`: this kernel cannot be hooked.
    source: Option<SlabSource>,
    /// `None`: memcgs do not have their own caches, or cannot be walked.
    owners: Option<OwnerWalk>,
    /// Whether to look up owners.
    with_owners: bool,
    pub ledger: SlabLedger,
    pub run: SlabRun,
}

impl SlabWatcher {
    /// Attaches if possible, and reads the existing caches.
    pub fn start(grace_ns: u64, btf: Option<&Path>, with_owners: bool) -> Result<Self> {
        let hooked = privileges::check().map_err(anyhow::Error::from).and_then(|()| {
            privileges::raise_limits();
            Ok(SlabSource::open(btf)?)
        });
        let (source, backend_reason) = match hooked {
            Ok(source) => (Some(source), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        // After attaching: later caches are in the stream.
        let listing = listing::read()?;
        let (per_memcg, mut unknown) = match &source {
            Some(source) => (Some(source.per_memcg()), source.unknown()),
            None => (slab_plan::has_memcg_caches(), unknown_by_list()),
        };
        // On other kernels caches have no owner.
        let owners = (per_memcg == Some(true)).then(|| OwnerWalk::open(btf)).transpose();
        let mut owners = owners.unwrap_or_else(|error| {
            unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}")));
            None
        });
        let mut run = SlabRun {
            backend: if source.is_some() { SlabBackend::Kprobe } else { SlabBackend::List },
            backend_reason,
            unknown,
            clock: clock::offsets(),
            started_ns: Some(clock::monotonic_ns()),
            ended_ns: listing.ended_ns,
            grace_ns,
            per_memcg,
            listed: Some(listing.counts()),
            undecodable: 0,
            owners: Owners::new(),
        };
        let mut ledger = SlabLedger::new(SlabConfig {
            hooked: source.is_some(),
            tells_new: source.as_ref().is_some_and(SlabSource::tells_new),
            tells_release: source.as_ref().is_some_and(SlabSource::tells_release),
            grace_ns,
        });
        ledger.apply(&SlabRecord::Walk(listing), &mut Vec::new());
        match owners.as_mut().map(|walk| walk.dead(false)).transpose() {
            Ok(dead) => {
                let dead = dead.unwrap_or_default();
                ledger.dying(&dead.dying, dead.t_ns);
                let copies = dead.copies.map(SlabRecord::Learned);
                copies.iter().for_each(|record| ledger.apply(record, &mut Vec::new()));
            }
            Err(error) => run.unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}"))),
        }
        ledger.look();
        Ok(Self { source, owners, with_owners, ledger, run })
    }

    /// Runs until a signal or the end of `duration`, and checks for changes every `interval`; then detaches and checks
    /// once more.
    pub async fn run(
        mut self,
        mut stop: Stop,
        interval: Duration,
        duration: Option<Duration>,
        observer: &mut (impl SlabObserver + ?Sized),
    ) -> Result<Self> {
        let started = Instant::now();
        let end = duration.map(|duration| started + duration);
        let mut next_look = started + interval;
        loop {
            let hooked = self.source.is_some();
            let wake = if hooked { next_look.min(Instant::now() + POLL) } else { next_look };
            tokio::select! {
                () = sleep_until(wake) => {}
                () = stop.requested(end) => break,
            }
            self.poll(clock::monotonic_ns(), observer)?;
            if Instant::now() >= next_look {
                self.look(observer)?;
                next_look += interval;
            }
            observer.slab_tick()?;
        }
        drop(stop);
        self.finish(clock::monotonic_ns(), observer)?;
        Ok(self)
    }

    /// Processes events of the hooks.
    pub fn poll(&mut self, now_ns: u64, observer: &mut (impl SlabObserver + ?Sized)) -> Result<()> {
        match self.source.as_mut().map(|source| source.poll(now_ns)) {
            Some(records) => self.apply(&records?, now_ns, observer),
            None => Ok(()),
        }
    }

    /// Checks for growth of caches, and notifies the observer.
    pub fn look(&mut self, observer: &mut (impl SlabObserver + ?Sized)) -> Result<()> {
        self.count(observer)?;
        observer.slab_looked(&self.ledger, clock::monotonic_ns())
    }

    /// Recounts families. Without hooks, reads the list.
    fn count(&mut self, observer: &mut (impl SlabObserver + ?Sized)) -> Result<()> {
        if self.source.is_none() {
            let listing = listing::read()?;
            self.run.listed = Some(listing.counts());
            let now_ns = listing.ended_ns;
            self.apply(&[SlabRecord::Walk(listing)], now_ns, observer)?;
        }
        self.look_at_memcgs(false, observer)?;
        self.ledger.look();
        Ok(())
    }

    /// Reads which caches belong to dying memcgs.
    fn look_at_memcgs(&mut self, last: bool, observer: &mut (impl SlabObserver + ?Sized)) -> Result<()> {
        match self.owners.as_mut().map(|walk| walk.dead(last)).transpose() {
            Ok(dead) => {
                let dead = dead.unwrap_or_default();
                self.ledger.dying(&dead.dying, dead.t_ns);
                let copies = dead.copies.map(SlabRecord::Learned);
                copies.map_or(Ok(()), |copies| self.apply(&[copies], clock::monotonic_ns(), observer))
            }
            Err(error) => {
                self.run.unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}")));
                self.owners = None;
                Ok(())
            }
        }
    }

    /// Detaches, and processes the remaining events.
    pub fn finish(&mut self, end_ns: u64, observer: &mut (impl SlabObserver + ?Sized)) -> Result<()> {
        match self.source.take() {
            Some(mut source) => {
                let records = source.finish(end_ns)?;
                self.run.undecodable = source.undecodable();
                self.apply(&records, end_ns, observer)?;
                match listing::read() {
                    Ok(listing) => self.run.listed = Some(listing.counts()),
                    Err(error) => log::warn!("cannot list slab caches at the end: {error}"),
                }
            }
            None => self.count(observer)?,
        }
        self.look_at_memcgs(true, observer)?;
        let owners = self.owners.as_mut().filter(|_| self.with_owners);
        match owners.map(|walk| walk.owners(&self.ledger)).transpose() {
            Ok(owners) => self.run.owners = owners.unwrap_or_default(),
            Err(error) => self.run.unknown.push((MEMCGS_UNKNOWN.to_owned(), format!("{error:#}"))),
        }
        self.run.ended_ns = end_ns;
        self.run.clock = clock::offsets();
        Ok(())
    }

    fn apply(
        &mut self,
        records: &[SlabRecord],
        now_ns: u64,
        observer: &mut (impl SlabObserver + ?Sized),
    ) -> Result<()> {
        let mut changes = Vec::new();
        for record in records {
            self.ledger.apply(record, &mut changes);
            changes.drain(..).try_for_each(|change| observer.slab_changed(&self.ledger, &change))?;
        }
        self.ledger.advance(now_ns, &mut changes);
        changes.drain(..).try_for_each(|change| observer.slab_changed(&self.ledger, &change))
    }
}

/// What is unknown without hooks.
fn unknown_by_list() -> Vec<(String, String)> {
    let unknown = [
        "who creates caches",
        "what comes and goes between two looks",
        "most leaks: kernels strike leaked caches off their list, or keep them looking alive",
    ];
    unknown.map(|what| (what.to_owned(), "this kernel's slab allocator cannot be hooked".to_owned())).to_vec()
}
