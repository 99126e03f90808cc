//! One look at the kernel, for some memcgs at once: what all readers share.

use std::time::Instant;

use foldhash::HashMap;
use memcg_trace_common::{ABSENT, PERCPU_COUNT_BIAS, PERCPU_REF_DEAD, WalkLayout};

use super::layout::PinLayout;
use crate::{
    cause::{Holder, Reference, Referenced, Thing, Unread},
    event::Key,
    kernel::memory::{Members, Memory, MemoryError},
};

/// Up to so many references, each gets room when it comes.
const FEW: usize = 4;

/// The memcgs that are looked at, and what was found to refer to them.
pub(super) struct Pass<'a> {
    pub memory: &'a mut dyn Memory,
    /// That of memcgs and cgroups.
    pub walk: &'a WalkLayout,
    pub layout: &'a PinLayout,
    pub memcgs: &'a KnownMemcgs,
    /// Address of the cgroup above all others.
    pub root: u64,
    deadline: Option<Instant>,
    references: Vec<Vec<Reference>>,
    unread: Vec<Unread>,
}

/// The memcgs that are still there.
#[derive(Debug)]
pub(super) struct KnownMemcgs {
    memcgs: Vec<CountedMemcg>,
    by_css: HashMap<u64, usize>,
    /// Pages of the machine.
    pages: u64,
}

/// A memcg and its references before anything else was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CountedMemcg {
    pub key: Key,
    pub refs: Option<u64>,
}

impl<'a> Pass<'a> {
    pub fn new(
        memory: &'a mut dyn Memory,
        walk: &'a WalkLayout,
        layout: &'a PinLayout,
        memcgs: &'a KnownMemcgs,
        root: u64,
        deadline: Option<Instant>,
    ) -> Self {
        let references = vec![Vec::new(); memcgs.memcgs.len()];
        Self { memory, walk, layout, memcgs, root, deadline, references, unread: Vec::new() }
    }

    /// Notes what refers to the memcg of that number.
    pub fn refer(&mut self, memcg: usize, refs: u64, thing: Thing, holders: Vec<Holder>) {
        let references = &mut self.references[memcg];
        // Most memcgs have one or two, of some 300 bytes each: a vector would make room for four.
        if references.len() < FEW {
            references.reserve_exact(1);
        }
        references.push(Reference { refs, thing, holders });
    }

    /// What was found to refer to the memcg of that number.
    pub fn references_of(&mut self, memcg: usize) -> &mut [Reference] {
        &mut self.references[memcg]
    }

    /// References that it had before anything was read, and that nothing was found for.
    pub fn missing(&self, memcg: usize) -> u64 {
        let counted = self.memcgs.memcgs[memcg].refs.unwrap_or(0);
        counted.saturating_sub(self.found(memcg))
    }

    fn found(&self, memcg: usize) -> u64 {
        self.references[memcg].iter().map(|reference| reference.refs).sum()
    }

    /// Notes what could not be looked for.
    pub fn unread(&mut self, what: &'static str, why: impl Into<String>) {
        if !self.unread.iter().any(|unread| unread.what == what) {
            self.unread.push(Unread { what, why: why.into() });
        }
    }

    /// The time is up: what was not found of `what` stays unknown.
    pub fn is_late(&mut self, what: &'static str) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.unread(what, "there was not enough time");
        }
        late
    }

    /// True if a memcg has more references than were found, `others` of each included.
    pub fn misses(&self, others: &[u64]) -> bool {
        others.iter().enumerate().any(|(memcg, others)| self.missing(memcg) > *others)
    }

    /// All that was found, by memcg, with the references counted again.
    pub fn finish(self) -> Result<(Vec<Referenced>, Vec<Unread>), MemoryError> {
        let keys: Vec<Key> = self.memcgs.memcgs.iter().map(|memcg| memcg.key).collect();
        let after = count(self.memory, self.walk, &keys)?;
        let memcgs = self.memcgs.memcgs.iter().zip(after).zip(self.references);
        let referenced = memcgs.map(|((counted, after), references)| Referenced {
            key: counted.key,
            before: counted.refs,
            after: after.unwrap_or(Some(0)),
            references,
        });
        Ok((referenced.collect(), self.unread))
    }
}

impl KnownMemcgs {
    pub fn new(memcgs: Vec<CountedMemcg>, pages: u64) -> Self {
        let by_css = memcgs.iter().enumerate().map(|(index, memcg)| (memcg.key.css, index)).collect();
        Self { memcgs, by_css, pages }
    }

    /// Addresses of all of them.
    pub fn csses(&self) -> Vec<u64> {
        self.memcgs.iter().map(|memcg| memcg.key.css).collect()
    }

    pub fn css(&self, memcg: usize) -> u64 {
        self.memcgs[memcg].key.css
    }

    /// The number of the memcg with this address; `None`: it is not one of those that are looked at.
    pub fn at(&self, css: u64) -> Option<usize> {
        self.by_css.get(&css).copied()
    }

    pub fn len(&self) -> usize {
        self.memcgs.len()
    }

    /// As many folios as can refer to it.
    pub fn folios_max(&self, memcg: usize) -> u64 {
        self.memcgs[memcg].refs.unwrap_or(self.pages).min(self.pages)
    }
}

/// References of each memcg. `None`: it is gone, its css is free or another one; `Some(None)`: the count is not known.
pub(super) fn count(
    memory: &mut dyn Memory,
    walk: &WalkLayout,
    keys: &[Key],
) -> Result<Vec<Option<Option<u64>>>, MemoryError> {
    let layout = &walk.layout;
    let csses: Vec<u64> = keys.iter().map(|key| key.css).collect();
    let [pointer, data, count] = [layout.css_percpu_count_ptr, layout.css_ref_data, layout.css_ref_count];
    let rows = memory.rows(&csses, &Members::of(&[pointer, data, count, layout.css_serial]))?;
    let counts = match data {
        ABSENT => (0..keys.len()).map(|row| rows.get(row, count)).collect(),
        data => {
            let apart = memory.rows(&rows.pointers(data), &Members::of(&[layout.ref_data_count]))?;
            (0..keys.len()).map(|row| apart.get(row, layout.ref_data_count)).collect::<Vec<Option<u64>>>()
        }
    };
    let count = |(row, (key, count)): (usize, (&Key, Option<u64>))| {
        let lives = rows.get(row, layout.css_serial) == Some(key.serial);
        let dying = rows.pointer(row, pointer) & PERCPU_REF_DEAD != 0;
        lives.then(|| count.filter(|count| dying && *count < PERCPU_COUNT_BIAS))
    };
    Ok(keys.iter().zip(counts).enumerate().map(count).collect())
}
