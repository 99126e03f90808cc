//! Who created a slab cache: the functions behind the stacks of the hooks.

use aya::maps::{MapData, StackTraceMap};
use foldhash::HashMap;
use memcg_trace_common::SlabHook;

use crate::{
    kernel::{hooks::slab_plan, memory::symbols::Symbols},
    slab::{SlabRecord, Symbol},
};

/// Who called the allocator.
pub(super) struct Callers {
    stacks: Option<StackTraceMap<MapData>>,
    symbols: Option<Symbols>,
    /// Since when the code of a module can have been running, ns.
    modules: HashMap<Box<[u8]>, u64>,
    /// By key of the stack, until modules come or go.
    known: HashMap<u32, Vec<Option<Symbol>>>,
}

impl Callers {
    /// `modules`: those whose code can have been running all the time.
    pub fn new(
        stacks: Option<StackTraceMap<MapData>>,
        symbols: Option<Symbols>,
        modules: Vec<Box<[u8]>>,
    ) -> Self {
        let modules = modules.into_iter().map(|module| (module, 0)).collect();
        Self { stacks, symbols, modules, known: HashMap::default() }
    }

    /// Names the caller of each creation.
    pub fn name(&mut self, records: &mut [SlabRecord]) {
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
