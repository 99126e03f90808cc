//! Slab caches, live: the hooks, the order of their events, and the functions behind their stacks.

use std::{
    mem,
    path::Path,
    time::{Duration, Instant},
};

use aya::maps::{MapData, StackTraceMap};
use foldhash::HashMap;
use memcg_trace_common::SlabHook;
use thiserror::Error;

use super::live::{Checked, Live, LiveError};
use crate::{
    kernel::{
        hooks::{objects::RunError, slab_attach, slab_plan},
        memory::symbols::{self, Symbols},
    },
    record::{Backend, Merge},
    slab::{SlabEvent, SlabRecord, Symbol},
};

/// Pages of each CPU's buffer. Caches are made by the hundred, not by the thousand.
const PERF_PAGES: usize = 64;
/// How often the kernel is asked for missed firings.
const CHECK: Duration = Duration::from_secs(1);
/// An event is in its buffer this long after the instant it is stamped with.
const SETTLED_NS: u64 = 10_000_000;

/// Why there is no live stream.
#[derive(Debug, Error)]
pub enum SlabSourceError {
    #[error("cannot load the eBPF hooks on slab caches: {0}")]
    Load(#[from] RunError),
    #[error(transparent)]
    Live(#[from] LiveError),
}

/// The attached hooks. Dropping it detaches them.
pub struct SlabSource {
    live: Live<SlabEvent>,
    merge: Merge<SlabEvent>,
    callers: Callers,
    per_memcg: bool,
    tells_new: bool,
    tells_release: bool,
    checked: Instant,
    /// What the hooks had emitted at the last check, and when that was, ns.
    emitted: (u64, Vec<(SlabHook, u32, u64)>),
    undecodable: u64,
}

impl SlabSource {
    /// Loads and attaches the hooks.
    pub fn open(btf: Option<&Path>) -> Result<Self, SlabSourceError> {
        let mut ebpf = slab_attach::load(btf)?;
        let stacks = ebpf.take_map("STACKS").and_then(|map| StackTraceMap::try_from(map).ok());
        let symbols = Symbols::open().inspect_err(|error| log::warn!("creators stay unknown: {error}")).ok();
        let mut per_memcg = false;
        let (mut tells_new, mut tells_release) = (false, false);
        let live = Live::attach(ebpf, Backend::Kprobe, Some(PERF_PAGES), slab_plan::RETURNS, |ebpf| {
            let attachment = slab_attach::attach(ebpf)?;
            per_memcg = attachment.per_memcg;
            let attached = attachment.attached;
            let has = |hook| attached.hooks.iter().any(|attached| attached.hook == hook);
            (tells_new, tells_release) = (has(SlabHook::New), has(SlabHook::Release));
            Ok(attached)
        })?;
        // After attaching: who comes later tells.
        let modules = symbols::modules().into_iter().map(|module| (module, 0)).collect();
        let callers = Callers { stacks, symbols, modules, known: HashMap::default() };
        Ok(Self {
            live,
            merge: Merge::new(),
            callers,
            per_memcg,
            tells_new,
            tells_release,
            checked: Instant::now(),
            emitted: (0, Vec::new()),
            undecodable: 0,
        })
    }

    /// Memcgs have caches of their own here.
    pub fn per_memcg(&self) -> bool {
        self.per_memcg
    }

    /// New caches are told from aliases by a hook.
    pub fn tells_new(&self) -> bool {
        self.tells_new
    }

    /// Releases are seen.
    pub fn tells_release(&self) -> bool {
        self.tells_release
    }

    /// What is not known because an optional hook could not be attached, and why.
    pub fn unknown(&self) -> Vec<(String, String)> {
        let absent = self.live.absent().map(|(what, error)| (what.to_owned(), error.to_string()));
        let mut unknown: Vec<_> = absent.collect();
        // Both ends of a function.
        unknown.dedup_by(|(a, _), (b, _)| a == b);
        unknown
    }

    /// Records of the buffers that were no events.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Drains, and gives what is settled at `now_ns` (`CLOCK_MONOTONIC`), in order.
    pub fn poll(&mut self, now_ns: u64) -> Result<Vec<SlabRecord>, LiveError> {
        let mut records = Vec::new();
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        self.merge.release(now_ns.saturating_sub(SETTLED_NS), |record| records.push(record));
        if self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            let Checked { missed, emitted } = self.live.check()?;
            records.extend(missed.into_iter().map(|missed| missed_record(now_ns, missed)));
            // Emitted by the check before: drained by now, unless it was lost.
            let (t_ns, emitted) = mem::replace(&mut self.emitted, (now_ns, emitted));
            self.merge.expect(t_ns, emitted, |record| records.push(record));
        }
        self.callers.name(&mut records);
        Ok(records)
    }

    /// Detaches, and gives the rest with everything that is missing.
    pub fn finish(&mut self, end_ns: u64) -> Result<Vec<SlabRecord>, LiveError> {
        let mut records = Vec::new();
        let missed = self.live.check()?.missed;
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        // Before the code of modules goes any further.
        self.merge.release(end_ns, |record| records.push(record));
        self.callers.name(&mut records);
        let emitted = self.live.detach()?;
        self.undecodable += self.live.drain(&mut self.merge).undecodable;
        let named = records.len();
        self.merge.finish(emitted.events, |record| records.push(record));
        self.callers.name(&mut records[named..]);
        let missed = missed.into_iter().chain(emitted.unreturned);
        records.extend(missed.map(|missed| missed_record(end_ns, missed)));
        Ok(records)
    }
}

fn missed_record(t_ns: u64, (hook, firings): (SlabHook, u64)) -> SlabRecord {
    SlabRecord::Missed { t_ns, hook, firings }
}

/// Who called the allocator.
struct Callers {
    stacks: Option<StackTraceMap<MapData>>,
    symbols: Option<Symbols>,
    /// Since when the code of a module can have been running, ns.
    modules: HashMap<Box<[u8]>, u64>,
    /// By key of the stack, until modules come or go.
    known: HashMap<u32, Vec<Option<Symbol>>>,
}

impl Callers {
    /// Names the caller of each creation.
    fn name(&mut self, records: &mut [SlabRecord]) {
        let stacks = records.iter().filter_map(|record| match record {
            SlabRecord::Event(event) => event.stack(),
            _ => None,
        });
        let mut unknown: Vec<u32> = stacks.filter(|stack| !self.known.contains_key(stack)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            self.look_up(&unknown);
        }
        let mut moved = false;
        for record in records {
            let SlabRecord::Event(event) = record else { continue };
            match (event.hook(), event.module()) {
                (SlabHook::ModuleInitEnter, Some(module)) => {
                    self.modules.insert(module.into(), event.t_ns());
                    moved = true;
                }
                (SlabHook::ModuleFree, Some(module)) => {
                    self.modules.remove(module);
                    moved = true;
                }
                _ => {
                    let functions = event.stack().and_then(|stack| self.known.get(&stack));
                    event.caller = functions.and_then(|functions| self.creator(functions, event.t_ns()));
                }
            }
        }
        if moved {
            self.known.clear();
        }
    }

    fn look_up(&mut self, unknown: &[u32]) {
        let Self { stacks: Some(stacks), symbols: Some(symbols), known, .. } = self else { return };
        let frames = |key: &u32| {
            let trace = stacks.get(key, 0).ok();
            // A frame is where the call returns to, which may be behind the function's end.
            trace.map(|trace| trace.frames().iter().map(|frame| frame.ip.wrapping_sub(1)).collect())
        };
        let traces: Vec<(u32, Vec<u64>)> =
            unknown.iter().map(|key| (*key, frames(key).unwrap_or_default())).collect();
        let addresses: Vec<u64> = traces.iter().flat_map(|(_, frames)| frames).copied().collect();
        match symbols.at(&addresses) {
            Ok(functions) => {
                let mut functions = functions.into_iter();
                for (key, frames) in traces {
                    known.insert(key, functions.by_ref().take(frames.len()).collect());
                }
            }
            Err(error) => log::warn!("cannot name creators: {error}"),
        }
    }

    /// The first function that is not the allocator. If that has no name, nobody has: it is the code of a module that is
    /// gone, or of an init function. What has been there only since, of another module, is none.
    fn creator(&self, functions: &[Option<Symbol>], t_ns: u64) -> Option<Symbol> {
        let own = |function: &&Option<Symbol>| {
            function.as_ref().is_some_and(|function| slab_plan::is_allocator(&function.function))
        };
        // The innermost frame is the hooked function itself.
        let caller = functions.iter().skip(1).find(|function| !own(function))?.as_ref()?;
        let then = match &caller.module {
            Some(module) => self.modules.get(module).is_some_and(|&since_ns| since_ns <= t_ns),
            None => true,
        };
        then.then(|| Symbol { offset: caller.offset + 1, ..caller.clone() })
    }
}
