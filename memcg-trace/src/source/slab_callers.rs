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

    fn creator(&self, functions: &[Option<Symbol>], t_ns: u64) -> Option<Symbol> {
        let ran = |module: &[u8]| self.modules.get(module).is_some_and(|&since_ns| since_ns <= t_ns);
        creator(functions, ran).map(|caller| Symbol { offset: caller.offset + 1, ..caller.clone() })
    }
}

/// The creator of a cache in the stack of the call, innermost frame first: the function of a module that is nearest to the
/// allocator, for functions of the kernel such as bioset_init() create caches on behalf of their callers. Without a module it
/// is the caller of the allocator.
///
/// A frame without a name is code of a module that is gone, or of an init function, and the creator is unknown: whoever
/// called that code is not it. Nor is a module that did not `run` then, whose code has been put there since.
fn creator(functions: &[Option<Symbol>], ran: impl Fn(&[u8]) -> bool) -> Option<&Symbol> {
    // The innermost frame is the hooked function itself.
    let outside = |function: &&Option<Symbol>| {
        function.as_ref().is_none_or(|symbol| !slab_plan::is_allocator(&symbol.function))
    };
    let mut callers = functions.iter().skip(1).skip_while(|function| !outside(function));
    let first = callers.clone().next()?.as_ref()?;
    let caller = callers.find(|function| function.as_ref().is_none_or(|symbol| !is_of_kernel(symbol)));
    match caller {
        None => Some(first),
        Some(caller) => caller.as_ref().filter(|symbol| symbol.module.as_deref().is_some_and(ran)),
    }
}

/// Whether it is code of the kernel itself, or code that the kernel generated: /proc/kallsyms lists that as of modules which do
/// not exist (kernel/kallsyms.c, `get_ksymbol_bpf` and the like).
fn is_of_kernel(symbol: &Symbol) -> bool {
    const GENERATED: [&[u8]; 3] = [b"bpf", b"__builtin__ftrace", b"__builtin__kprobes"];
    symbol.module.as_deref().is_none_or(|module| GENERATED.contains(&module))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `function` of the kernel, `function module`, or nothing: a frame without a name.
    fn frame(text: &str) -> Option<Symbol> {
        let (function, module) = match text.split_once(' ') {
            Some((function, module)) => (function, Some(module.as_bytes().into())),
            None => (text, None),
        };
        (!text.is_empty()).then(|| Symbol { function: function.as_bytes().into(), offset: 7, module })
    }

    #[test]
    fn creators_in_stacks() {
        const HOOKED: &str = "__kmem_cache_create_args";
        let table: [(&[&str], &str); 13] = [
            (&[HOOKED, "init_inodes", "do_one_initcall", "kernel_init"], "init_inodes"),
            (&[HOOKED, "kmem_cache_create_usercopy", "grow leaky", "kernfs_fop_write"], "grow leaky"),
            (&[HOOKED, "bioset_init", "alloc_dev dm_mod", "ctl_ioctl dm_mod"], "alloc_dev dm_mod"),
            // On behalf of others, through two of them, and through one that is a module.
            (&[HOOKED, "mempool_create", "bioset_init", "probe nvme", "really_probe"], "probe nvme"),
            (&[HOOKED, "bioset_init", "helper dm_mod", "ctr dm_crypt"], "helper dm_mod"),
            (&[HOOKED, "bioset_init", "md_run", "do_md_run"], "bioset_init"),
            (&[HOOKED, "bioset_init", "bpf_trampoline_7 bpf", "do_md_run"], "bioset_init"),
            // Code that is gone.
            (&[HOOKED, "", "ctr dm_crypt"], ""),
            (&[HOOKED, "bioset_init", "", "ctr dm_crypt"], ""),
            // Loaded since.
            (&[HOOKED, "bioset_init", "work later", "probe nvme"], ""),
            (&[HOOKED, "create later"], ""),
            (&[HOOKED], ""),
            (&[], ""),
        ];
        for (stack, expected) in table {
            let functions: Vec<_> = stack.iter().map(|text| frame(text)).collect();
            let found = creator(&functions, |module| module != b"later");
            assert_eq!(found, frame(expected).as_ref(), "{stack:?}");
        }
    }
}
