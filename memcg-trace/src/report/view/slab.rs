//! Slab caches: one of them, an event, the sum.

use std::{cmp::Reverse, fmt};

use jiff::Timestamp;
use memcg_trace_common::SlabHook;
use serde::Serialize;

use super::{
    Clock, TaskView, Unknown, rfc3339,
    slab_groups::{Owners, SlabBy, SlabGroup, grouped},
};
use crate::{
    report::escape::Name,
    slab::{Cache, Change, Creator, Family, Growing, Leak, Ledger, ListCounts, State, Symbol, Totals, What},
};

/// What the kernel's own code is called where modules are named.
const KERNEL: &[u8] = b"vmlinux";

/// Which caches are listed, and how.
#[derive(Clone, Copy, Debug)]
pub struct SlabRequest {
    pub leaked: bool,
    pub by: Option<SlabBy>,
    pub top: Option<usize>,
}

impl SlabRequest {
    /// Those that leaked, all of them.
    pub fn leaked() -> Self {
        Self { leaked: true, by: None, top: None }
    }
}

/// What a summary must know that is not in the ledger.
#[derive(Clone, Debug)]
pub struct SlabRun {
    /// `kprobe`, or `list`: /sys/kernel/slab and /proc/slabinfo are read from time to time, or once.
    pub backend: &'static str,
    pub backend_reason: Option<String>,
    pub unknown: Vec<(String, String)>,
    pub clock: Clock,
    /// `CLOCK_MONOTONIC`, ns. `None`: it was one look.
    pub started_ns: Option<u64>,
    pub ended_ns: u64,
    pub grace_ns: u64,
    /// Memcgs have caches of their own on this kernel. `None`: could not tell.
    pub per_memcg: Option<bool>,
    /// What the kernel lists at the end.
    pub listed: Option<ListCounts>,
    pub undecodable: u64,
    /// Whose memcgs have caches of their own, as far as it was asked for and is known.
    pub owners: Owners,
}

impl SlabRun {
    /// Nothing is missing that the answer may depend on.
    pub fn conclusive(&self, ledger: &Ledger) -> bool {
        ledger.conclusive() && self.undecodable == 0
    }
}

/// A slab cache.
#[derive(Clone, Debug, Serialize)]
pub struct SlabCacheView<'a> {
    pub name: Option<Name<'a>>,
    /// Other names under which it is held, as far as they were seen to be asked for.
    pub aliases: Vec<Name<'a>>,
    /// Names in /sys/kernel/slab that link to it; some may have been given up.
    pub links: Vec<Name<'a>>,
    pub address: Option<String>,
    /// `live`, `destroying`, `leaked` or `released`.
    pub state: &'static str,
    /// `not_released`, `memcg_dead` or `module_gone`; null: not leaked.
    pub leak: Option<&'static str>,
    /// In this state.
    pub age_ns: Option<u64>,
    /// It was there before it was watched.
    pub before_start: bool,
    pub refs: Option<i64>,
    pub object_size: Option<u32>,
    pub size: Option<u32>,
    /// In use, and what there is room for, when the kernel's list was read last.
    pub objects: Option<u64>,
    pub objects_allocated: Option<u64>,
    /// Of the objects that there is room for.
    pub bytes: Option<u64>,
    pub creator: Option<CreatorView<'a>>,
    /// The creator's, or else that of the constructor; `vmlinux`: none, the kernel itself.
    pub module: Option<Name<'a>>,
    pub ctor: Option<SymbolView<'a>>,
    pub destroyer: Option<TaskView<'a>>,
    pub memcg: Option<MemcgOf<'a>>,
}

/// Whose copy a cache is.
#[derive(Clone, Debug, Serialize)]
pub struct MemcgOf<'a> {
    pub css: String,
    pub serial: Option<u64>,
    /// It went offline.
    pub dead: bool,
    /// The cache that it is a copy of.
    pub root: Option<Name<'a>>,
}

/// Who created a cache.
#[derive(Clone, Debug, Serialize)]
pub struct CreatorView<'a> {
    /// The function that called the allocator, the offset in it, and its module.
    pub function: Option<Name<'a>>,
    pub offset: Option<u64>,
    pub module: Option<Name<'a>>,
    /// The module whose init function ran; its functions have no names any more.
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

/// One live line.
#[derive(Clone, Debug, Serialize)]
pub struct SlabEventView<'a> {
    pub event: SlabEventKind,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    pub slab_cache: Option<SlabCacheView<'a>>,
    /// The name that was asked for (`slab_aliased`, `slab_failed`).
    pub asked: Option<Name<'a>>,
    /// Who asked, or destroyed.
    pub creator: Option<CreatorView<'a>>,
    pub task: Option<TaskView<'a>>,
    #[serde(flatten)]
    pub loss: Option<SlabLoss>,
}

/// What happened; named as in the JSON output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlabEventKind {
    SlabCreated,
    SlabAliased,
    SlabUnaliased,
    SlabDestroying,
    SlabLeaked,
    SlabReleased,
    SlabLate,
    SlabFailed,
    Lost,
    Missed,
}

/// Fields of `lost` and `missed`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum SlabLoss {
    Lost { hook: &'static str, cpu: u32, events: u64 },
    Missed { hook: &'static str, firings: u64 },
}

/// A family that only grows.
#[derive(Clone, Debug, Serialize)]
pub struct GrowingView {
    /// A place in the code, or a name with `#` for numbers.
    pub family: String,
    pub from: u64,
    pub to: u64,
    pub rises: u64,
}

/// What changed since the look before.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SlabDelta {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    pub t_ns: u64,
    /// That exist, leaked ones included.
    pub caches: u64,
    pub created: u64,
    pub released: u64,
    pub aliased: u64,
    pub leaked: i64,
}

/// Serializes as the last line of the JSON output, or as a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct SlabSummary<'a> {
    pub backend: &'static str,
    pub backend_reason: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    /// Null: it was one look.
    pub duration_ns: Option<u64>,
    pub created: u64,
    /// First seen after their birth; `created + adopted == live + destroying + leaked + released`.
    pub adopted: u64,
    pub live: u64,
    pub destroying: u64,
    pub leaked: u64,
    pub released: u64,
    /// Of those released: after they had counted as leaked.
    pub late: u64,
    /// Names given to caches that existed, and names destroyed again.
    pub aliased: u64,
    pub unaliased: u64,
    pub failed: u64,
    /// New caches whose name did not read as the one that was asked for: the struct layout is not this kernel's.
    pub misread: u64,
    /// Caches that the kernel lists, names that link to them, and names that lead nowhere.
    pub kernel_caches: Option<u64>,
    pub kernel_links: Option<u64>,
    pub kernel_stale_links: Option<u64>,
    /// Memcgs have caches of their own here; null: could not tell.
    pub per_memcg_caches: Option<bool>,
    pub growing: Vec<GrowingView>,
    pub lost_events: u64,
    pub missed_firings: u64,
    pub undecodable_records: u64,
    pub conclusive: bool,
    pub unknown: Vec<Unknown<'a>>,
    #[serde(skip)]
    pub grace_ns: u64,
}

/// A list or groups, and the sum.
#[derive(Clone, Debug)]
pub struct SlabView<'a> {
    pub request: SlabRequest,
    pub caches: Vec<SlabCacheView<'a>>,
    pub groups: Option<Vec<SlabGroup>>,
    /// Listed or grouped, if nothing cut it short.
    pub selected: u64,
    pub summary: SlabSummary<'a>,
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

impl<'a> SlabEventView<'a> {
    pub fn new(change: &'a Change, ledger: &'a Ledger, clock: &Clock) -> Self {
        let t_ns = change.t_ns;
        let of = |number: &u64| ledger.get(*number);
        let mut asked = None;
        let mut creator = None;
        let mut task = None;
        let mut loss = None;
        let (event, cache) = match &change.what {
            What::Created(number) => {
                let cache = of(number);
                creator = cache.and_then(Cache::creator);
                (SlabEventKind::SlabCreated, cache)
            }
            What::Aliased(number) => {
                let cache = of(number);
                let last = cache.and_then(|cache| cache.asked.last());
                asked = last.map(|asked| Name(&asked.name));
                creator = last.map(|asked| &asked.creator);
                (SlabEventKind::SlabAliased, cache)
            }
            What::Unaliased { number, task: by } => {
                task = by.as_ref();
                (SlabEventKind::SlabUnaliased, of(number))
            }
            What::Destroying(number) => {
                let cache = of(number);
                task = cache.and_then(|cache| cache.destroyer.as_ref());
                (SlabEventKind::SlabDestroying, cache)
            }
            What::Leaked(number) => {
                let cache = of(number);
                creator = cache.and_then(Cache::creator);
                (SlabEventKind::SlabLeaked, cache)
            }
            What::Released { cache, late } => {
                let event = if *late { SlabEventKind::SlabLate } else { SlabEventKind::SlabReleased };
                creator = cache.creator();
                (event, Some(&**cache))
            }
            What::Failed { name, creator: by } => {
                asked = Some(Name(name));
                creator = Some(by);
                (SlabEventKind::SlabFailed, None)
            }
            What::Lost { hook, cpu, events } => {
                loss = Some(SlabLoss::Lost { hook: hook_name(*hook), cpu: *cpu, events: *events });
                (SlabEventKind::Lost, None)
            }
            What::Missed { hook, firings } => {
                loss = Some(SlabLoss::Missed { hook: hook_name(*hook), firings: *firings });
                (SlabEventKind::Missed, None)
            }
        };
        Self {
            event,
            time: clock.utc(t_ns),
            t_ns: clock.boot_ns(t_ns),
            slab_cache: cache.map(|cache| SlabCacheView::new(cache, ledger, t_ns)),
            asked,
            creator: creator.map(CreatorView::new),
            task: task.map(TaskView::new),
            loss,
        }
    }
}

impl SlabDelta {
    /// From `before` to now.
    pub fn new(before: &Totals, ledger: &Ledger, now_ns: u64, clock: &Clock) -> Self {
        let now = ledger.totals();
        Self {
            time: clock.utc(now_ns),
            t_ns: clock.boot_ns(now_ns),
            caches: now.live + now.destroying + now.leaked,
            created: now.created - before.created,
            released: now.released - before.released,
            aliased: now.aliased - before.aliased,
            leaked: now.leaked as i64 - before.leaked as i64,
        }
    }

    /// Nothing changed.
    pub fn is_quiet(&self) -> bool {
        (self.created, self.released, self.aliased, self.leaked) == (0, 0, 0, 0)
    }
}

impl<'a> SlabView<'a> {
    pub fn new(run: &'a SlabRun, ledger: &'a Ledger, request: SlabRequest) -> Self {
        let selected = ledger.caches().filter(|cache| !request.leaked || cache.state == State::Leaked);
        let selected: Vec<&Cache> = selected.collect();
        let mut caches: Vec<_> =
            selected.iter().map(|cache| SlabCacheView::new(cache, ledger, run.ended_ns)).collect();
        let mut groups = request.by.map(|by| grouped(&selected, &caches, ledger, by, &run.owners));
        // The leaked ones by age, as they came; all of them by size.
        if !request.leaked {
            caches.sort_by_key(|cache| Reverse(cache.bytes));
        }
        let selected = groups.as_ref().map_or(caches.len(), Vec::len) as u64;
        if let Some(top) = request.top {
            caches.truncate(top);
            groups.iter_mut().for_each(|groups| groups.truncate(top));
        }
        Self { request, caches, groups, selected, summary: SlabSummary::new(run, ledger) }
    }
}

impl<'a> SlabSummary<'a> {
    pub fn new(run: &'a SlabRun, ledger: &Ledger) -> Self {
        let totals = ledger.totals();
        Self {
            backend: run.backend,
            backend_reason: run.backend_reason.as_deref(),
            time: run.clock.utc(run.ended_ns),
            t_ns: run.clock.boot_ns(run.ended_ns),
            duration_ns: run.started_ns.map(|started_ns| run.ended_ns.saturating_sub(started_ns)),
            created: totals.created,
            adopted: totals.adopted,
            live: totals.live,
            destroying: totals.destroying,
            leaked: totals.leaked,
            released: totals.released,
            late: totals.late,
            aliased: totals.aliased,
            unaliased: totals.unaliased,
            failed: totals.failed,
            misread: totals.misread,
            kernel_caches: run.listed.map(|listed| listed.caches),
            kernel_links: run.listed.map(|listed| listed.links),
            kernel_stale_links: run.listed.map(|listed| listed.stale_links),
            per_memcg_caches: run.per_memcg,
            growing: ledger.growing().iter().map(GrowingView::new).collect(),
            lost_events: totals.lost_events,
            missed_firings: totals.missed_firings,
            undecodable_records: run.undecodable,
            conclusive: run.conclusive(ledger),
            unknown: run.unknown.iter().map(|(what, reason)| Unknown { what, reason }).collect(),
            grace_ns: run.grace_ns,
        }
    }
}

impl GrowingView {
    fn new(growing: &Growing) -> Self {
        let family = match &growing.family {
            Family::Creator(symbol) => format!("created by {}", SymbolView::new(symbol)),
            Family::Init(module) => format!("created by the init function of {}", Name(module)),
            Family::Name(stem) => format!("named {}", Name(stem)),
        };
        Self { family, from: growing.from, to: growing.to, rises: growing.rises }
    }
}

/// How outputs call a state.
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

fn hook_name(hook: SlabHook) -> &'static str {
    match hook {
        SlabHook::CreateEnter => "slab_create_enter",
        SlabHook::New => "slab_new",
        SlabHook::Create => "slab_create",
        SlabHook::Destroy => "slab_destroy",
        SlabHook::Release => "slab_release",
        SlabHook::MemcgCreateEnter => "slab_memcg_create_enter",
        SlabHook::MemcgCreate => "slab_memcg_create",
        SlabHook::MemcgOffline => "slab_memcg_offline",
        SlabHook::ModuleInitEnter => "module_init_enter",
        SlabHook::ModuleInit => "module_init",
        SlabHook::ModuleFree => "module_free",
    }
}
