//! A ledger of slab caches and what feeds it: hooks, or where there can be none, the kernel's list from time to time.

use std::path::Path;

use anyhow::Result;

use super::owners::OwnerWalk;
use crate::{
    commands::wall_clock,
    kernel::{clock, hooks::slab_plan, privileges, slab::listing},
    report::view::{Owners, SlabRun},
    slab::{Change, Config, Ledger, ListCounts, SlabRecord},
    source::slab::SlabSource,
};

/// What is not known where memcgs cannot be walked.
pub const MEMCGS: &str = "whose caches those of memcgs are, and which of them have outlived their memcgs";

/// Is told of each change, with the ledger as it is just then.
pub type Show<'a> = &'a mut dyn FnMut(&Ledger, &Change) -> Result<()>;

pub struct Watcher {
    /// `None`: this kernel cannot be hooked.
    source: Option<SlabSource>,
    /// `None`: memcgs have no caches of their own, or cannot be walked.
    owners: Option<OwnerWalk>,
    /// Owners are to be named.
    with_owners: bool,
    pub ledger: Ledger,
    pub run: SlabRun,
}

impl Watcher {
    /// Attaches, where that is possible, and reads what is there already.
    pub fn start(grace_ns: u64, btf: Option<&Path>, with_owners: bool) -> Result<Self> {
        let hooked = privileges::check().map_err(anyhow::Error::from).and_then(|()| {
            privileges::raise_memlock();
            Ok(SlabSource::open(btf)?)
        });
        let (source, backend_reason) = match hooked {
            Ok(source) => (Some(source), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        // After attaching: what comes later is in the stream.
        let listing = listing::read()?;
        let (per_memcg, mut unknown) = match &source {
            Some(source) => (Some(source.per_memcg()), source.unknown()),
            None => (slab_plan::has_memcg_caches(), unknown_by_list()),
        };
        // Elsewhere caches are nobody's.
        let owners = (per_memcg == Some(true)).then(|| OwnerWalk::open(btf)).transpose();
        let mut owners = owners.unwrap_or_else(|error| {
            unknown.push((MEMCGS.to_owned(), format!("{error:#}")));
            None
        });
        let mut run = SlabRun {
            backend: if source.is_some() { "kprobe" } else { "list" },
            backend_reason,
            unknown,
            clock: wall_clock(),
            started_ns: Some(clock::monotonic_ns()),
            ended_ns: listing.ended_ns,
            grace_ns,
            per_memcg,
            listed: Some(listing.counts()),
            undecodable: 0,
            owners: Owners::new(),
        };
        let mut ledger = Ledger::new(Config {
            hooked: source.is_some(),
            tells_new: source.as_ref().is_some_and(SlabSource::tells_new),
            tells_release: source.as_ref().is_some_and(SlabSource::tells_release),
            grace_ns,
        });
        ledger.apply(&SlabRecord::Walk(listing), &mut Vec::new());
        match owners.as_mut().map(OwnerWalk::dead).transpose() {
            Ok(dead) => dead.flatten().iter().for_each(|record| ledger.apply(record, &mut Vec::new())),
            Err(error) => run.unknown.push((MEMCGS.to_owned(), format!("{error:#}"))),
        }
        ledger.look();
        Ok(Self { source, owners, with_owners, ledger, run })
    }

    /// Says on stderr what is watched and how.
    pub fn announce(&self) {
        let how = match &self.run.backend_reason {
            None => "kprobe backend".to_owned(),
            Some(reason) => format!("by the kernel's list alone: {reason}"),
        };
        eprintln!("memcg-trace: tracing slab caches, {how}");
        if let Some(ListCounts { caches, links, stale_links }) = self.run.listed {
            let stale =
                if stale_links > 0 { format!(", {stale_links} more lead nowhere") } else { String::new() };
            eprintln!("memcg-trace: {caches} caches are there already; {links} names link to them{stale}");
        }
        for (what, reason) in &self.run.unknown {
            eprintln!("memcg-trace: not known: {what}, because {reason}");
        }
    }

    /// Hooks bring events: whoever watches should come by often.
    pub fn is_hooked(&self) -> bool {
        self.source.is_some()
    }

    /// Takes what the hooks have brought.
    pub fn poll(&mut self, now_ns: u64, show: Show<'_>) -> Result<()> {
        match self.source.as_mut().map(|source| source.poll(now_ns)) {
            Some(records) => self.apply(&records?, now_ns, show),
            None => Ok(()),
        }
    }

    /// Looks how caches have grown. Without hooks, the list is read.
    pub fn look(&mut self, show: Show<'_>) -> Result<()> {
        if self.source.is_none() {
            let listing = listing::read()?;
            self.run.listed = Some(listing.counts());
            let now_ns = listing.ended_ns;
            self.apply(&[SlabRecord::Walk(listing)], now_ns, show)?;
        }
        self.look_at_memcgs(show)?;
        self.ledger.look();
        Ok(())
    }

    /// Learns which caches belong to memcgs that are dying.
    fn look_at_memcgs(&mut self, show: Show<'_>) -> Result<()> {
        match self.owners.as_mut().map(OwnerWalk::dead).transpose() {
            Ok(dead) => {
                dead.flatten().map_or(Ok(()), |dead| self.apply(&[dead], clock::monotonic_ns(), show))
            }
            Err(error) => {
                self.run.unknown.push((MEMCGS.to_owned(), format!("{error:#}")));
                self.owners = None;
                Ok(())
            }
        }
    }

    /// Detaches, and takes the rest.
    pub fn finish(&mut self, end_ns: u64, show: Show<'_>) -> Result<()> {
        match self.source.take() {
            Some(mut source) => {
                let records = source.finish(end_ns)?;
                self.run.undecodable = source.undecodable();
                self.apply(&records, end_ns, &mut *show)?;
                self.run.listed = listing::read().ok().map(|listing| listing.counts());
            }
            None => self.look(&mut *show)?,
        }
        self.look_at_memcgs(show)?;
        let owners = self.owners.as_mut().filter(|_| self.with_owners);
        match owners.map(|walk| walk.owners(&self.ledger)).transpose() {
            Ok(owners) => self.run.owners = owners.unwrap_or_default(),
            Err(error) => self.run.unknown.push((MEMCGS.to_owned(), format!("{error:#}"))),
        }
        self.run.ended_ns = end_ns;
        self.run.clock = wall_clock();
        Ok(())
    }

    fn apply(&mut self, records: &[SlabRecord], now_ns: u64, show: Show<'_>) -> Result<()> {
        let mut changes = Vec::new();
        for record in records {
            self.ledger.apply(record, &mut changes);
            changes.drain(..).try_for_each(|change| show(&self.ledger, &change))?;
        }
        self.ledger.advance(now_ns, &mut changes);
        changes.drain(..).try_for_each(|change| show(&self.ledger, &change))
    }
}

/// What a list does not show.
fn unknown_by_list() -> Vec<(String, String)> {
    let unknown = [
        "who creates caches",
        "what comes and goes between two looks",
        "most leaks: kernels strike leaked caches off their list, or keep them looking alive",
    ];
    unknown.map(|what| (what.to_owned(), "this kernel's slab allocator cannot be hooked".to_owned())).to_vec()
}
