//! Slab caches, live: the hooks, and the functions behind their stacks.

use std::path::Path;

use aya::maps::StackTraceMap;
use memcg_trace_common::SlabHook;
use thiserror::Error;

use super::{BufferSize, LiveError, live::Live, slab_callers::Callers, tap::Tap};
use crate::{
    kernel::{
        hooks::{objects::RunError, slab_attach, slab_plan},
        memory::symbols::{self, Symbols},
    },
    record::Backend,
    slab::{SlabEvent, SlabRecord},
};

/// Pages per CPU's buffer. Caches are created by the hundred, not by the thousand.
const PERF_PAGES: usize = 64;
/// The reason why there is no live stream.
#[derive(Debug, Error)]
pub enum SlabSourceError {
    #[error("cannot load the eBPF hooks on slab caches: {0}")]
    Load(#[from] RunError),
    #[error(transparent)]
    Live(#[from] LiveError),
}

/// The attached hooks. Dropping it detaches them.
pub struct SlabSource {
    tap: Tap<SlabEvent>,
    callers: Callers,
    per_memcg: bool,
    tells_new: bool,
    tells_release: bool,
}

impl SlabSource {
    /// Loads and attaches the hooks.
    pub fn open(btf: Option<&Path>) -> Result<Self, SlabSourceError> {
        let mut ebpf = slab_attach::load(btf)?;
        let stacks = ebpf.take_map("STACKS").and_then(|map| StackTraceMap::try_from(map).ok());
        let symbols = Symbols::open().inspect_err(|error| log::warn!("creators stay unknown: {error}")).ok();
        let mut per_memcg = false;
        let (mut tells_new, mut tells_release) = (false, false);
        let live =
            Live::attach(ebpf, Backend::Kprobe, BufferSize::Pages(PERF_PAGES), slab_plan::RETURNS, |ebpf| {
                let attachment = slab_attach::attach(ebpf)?;
                per_memcg = attachment.per_memcg;
                let attached = attachment.attached;
                let has = |hook| attached.hooks.iter().any(|attached| attached.hook == hook);
                (tells_new, tells_release) = (has(SlabHook::New), has(SlabHook::Release));
                Ok(attached)
            })?;
        // After attaching: modules loaded later are in the stream.
        let modules = symbols::modules();
        let callers = Callers::new(stacks, symbols, modules);
        Ok(Self { tap: Tap::new(live), callers, per_memcg, tells_new, tells_release })
    }

    /// Whether memcgs have their own caches.
    pub fn per_memcg(&self) -> bool {
        self.per_memcg
    }

    /// Whether a hook distinguishes new caches from aliases.
    pub fn tells_new(&self) -> bool {
        self.tells_new
    }

    /// Whether releases are seen.
    pub fn tells_release(&self) -> bool {
        self.tells_release
    }

    /// What is unknown because an optional hook could not be attached, and the reason.
    pub fn unknown(&self) -> Vec<(String, String)> {
        let absent = self.tap.live().absent().map(|(what, error)| (what.to_owned(), error.to_string()));
        let mut unknown: Vec<_> = absent.collect();
        // Both ends of a function.
        unknown.dedup_by(|(a, _), (b, _)| a == b);
        unknown
    }

    /// Number of records in the buffers that were not events.
    pub fn undecodable(&self) -> u64 {
        self.tap.undecodable()
    }

    /// Drains, and returns the records settled at `now_ns` (`CLOCK_MONOTONIC`), in order.
    pub fn poll(&mut self, now_ns: u64) -> Result<Vec<SlabRecord>, LiveError> {
        let mut records = Vec::new();
        self.tap.poll(now_ns, &mut records)?;
        self.callers.name(&mut records);
        Ok(records)
    }

    /// Detaches, and returns the rest, including all losses.
    pub fn finish(&mut self, end_ns: u64) -> Result<Vec<SlabRecord>, LiveError> {
        let mut records = Vec::new();
        self.tap.close(end_ns, &mut records)?;
        // Before the code of more modules is freed.
        self.callers.name(&mut records);
        let rest = records.len();
        self.tap.finish(end_ns, &mut records)?;
        self.callers.name(&mut records[rest..]);
        Ok(records)
    }
}
