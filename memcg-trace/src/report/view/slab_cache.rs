//! A slab cache and its creator.

use std::fmt;

use serde::Serialize;

use super::TaskView;
use crate::{
    report::escape::Name,
    slab::{Cache, Creator, Leak, Ledger, State, Symbol},
};

/// Module name for the kernel's own code.
const KERNEL: &[u8] = b"vmlinux";

/// A slab cache.
#[derive(Clone, Debug, Serialize)]
pub struct SlabCacheView<'a> {
    pub name: Option<Name<'a>>,
    /// Names merged into it, as far as seen.
    pub aliases: Vec<Name<'a>>,
    /// Links to it in /sys/kernel/slab; some may be stale.
    pub links: Vec<Name<'a>>,
    pub address: Option<String>,
    /// `live`, `destroying`, `leaked` or `released`.
    pub state: &'static str,
    /// `not_released`, `memcg_dead` or `module_gone`; null: not leaked.
    pub leak: Option<&'static str>,
    /// Time in this state.
    pub age_ns: Option<u64>,
    /// It existed before the start.
    pub before_start: bool,
    pub refs: Option<i64>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// Objects in use, and allocated, at the last read of the kernel's list.
    pub objects: Option<u64>,
    pub objects_allocated: Option<u64>,
    /// Memory of the allocated objects.
    pub bytes: Option<u64>,
    pub creator: Option<CreatorView<'a>>,
    /// The creator's, or else the constructor's; `vmlinux`: the kernel itself.
    pub module: Option<Name<'a>>,
    pub ctor: Option<SymbolView<'a>>,
    pub destroyer: Option<TaskView<'a>>,
    pub memcg: Option<MemcgOf<'a>>,
}

/// The memcg that owns a copy.
#[derive(Clone, Debug, Serialize)]
pub struct MemcgOf<'a> {
    pub css: String,
    pub serial: Option<u64>,
    /// Whether it is offline.
    pub dead: bool,
    /// The root cache.
    pub root: Option<Name<'a>>,
}

/// The creator of a cache.
#[derive(Clone, Debug, Serialize)]
pub struct CreatorView<'a> {
    /// The caller of the allocator: function, offset and module.
    pub function: Option<Name<'a>>,
    pub offset: Option<u64>,
    pub module: Option<Name<'a>>,
    /// The module whose init function ran; its symbols are gone.
    pub init: Option<Name<'a>>,
    pub task: TaskView<'a>,
}

/// `function+0x1f [module]`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SymbolView<'a> {
    pub function: Name<'a>,
    pub offset: u64,
    pub module: Name<'a>,
}

impl<'a> SlabCacheView<'a> {
    /// A cache of the ledger as it is at `now_ns` (`CLOCK_MONOTONIC`).
    pub fn new(cache: &'a Cache, ledger: &'a Ledger, now_ns: u64) -> Self {
        let root = || ledger.get(cache.root?).map(|root| Name(&root.name));
        let allocated = cache.objects.map(|(_, all)| all);
        Self {
            name: Some(Name(&cache.name)).filter(|name| !name.0.is_empty()),
            aliases: cache.aliases().map(|asked| Name(&asked.name)).collect(),
            links: cache.links.iter().map(|link| Name(link)).collect(),
            address: cache.address.map(|address| format!("{address:#x}")),
            state: state_name(cache.state),
            leak: cache.leak.map(leak_name),
            age_ns: cache.since_ns.map(|since_ns| now_ns.saturating_sub(since_ns)),
            before_start: cache.created_ns.is_none(),
            refs: cache.refs,
            object_size: cache.object_size,
            size: cache.size,
            objects: cache.objects.map(|(active, _)| active),
            objects_allocated: allocated,
            bytes: allocated.zip(cache.size).map(|(all, size)| all * u64::from(size)),
            creator: cache.creator().map(CreatorView::new),
            module: cache.module().map(|module| Name(module.unwrap_or(KERNEL))),
            ctor: cache.ctor.as_ref().map(SymbolView::new),
            destroyer: cache.destroyer.as_ref().map(TaskView::new),
            memcg: cache.memcg.map(|(css, serial)| MemcgOf {
                css: format!("{css:#x}"),
                serial,
                dead: cache.memcg_offline_ns.is_some() || cache.leak == Some(Leak::MemcgDead),
                root: root(),
            }),
        }
    }
}

impl<'a> CreatorView<'a> {
    pub fn new(creator: &'a Creator) -> Self {
        let caller = creator.caller.as_ref().map(SymbolView::new);
        Self {
            function: caller.map(|caller| caller.function),
            offset: caller.map(|caller| caller.offset),
            module: caller.map(|caller| caller.module),
            init: creator.init.as_deref().map(Name),
            task: TaskView::new(&creator.task),
        }
    }
}

impl fmt::Display for CreatorView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function: Some(function), offset: Some(offset), module: Some(module), init, .. } = *self
        else {
            return match self.init {
                Some(init) => write!(f, "init function [{init}]"),
                None => f.write_str("?"),
            };
        };
        let caller = SymbolView { function, offset, module };
        match init {
            Some(init) if init != module => write!(f, "{caller}, init of {init}"),
            _ => caller.fmt(f),
        }
    }
}

impl<'a> SymbolView<'a> {
    pub fn new(symbol: &'a Symbol) -> Self {
        let module = symbol.module.as_deref().unwrap_or(KERNEL);
        Self { function: Name(&symbol.function), offset: symbol.offset, module: Name(module) }
    }
}

impl fmt::Display for SymbolView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x} [{}]", self.function, self.offset, self.module)
    }
}

/// Name of a state in outputs.
fn state_name(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Destroying => "destroying",
        State::Leaked => "leaked",
        State::Released => "released",
    }
}

fn leak_name(leak: Leak) -> &'static str {
    match leak {
        Leak::NotReleased => "not_released",
        Leak::MemcgDead => "memcg_dead",
        Leak::ModuleGone => "module_gone",
    }
}
