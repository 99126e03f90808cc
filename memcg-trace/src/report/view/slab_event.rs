//! Events of slab caches, and periodic changes.

use jiff::Timestamp;
use memcg_trace_common::SlabHook;
use serde::Serialize;

use super::{
    TaskView, rfc3339,
    slab_cache::{CreatorView, SlabCacheView},
};
use crate::{
    record::Clock,
    report::escape::Name,
    slab::{Cache, Change, Ledger, Totals, What},
};

/// A live event.
#[derive(Clone, Debug, Serialize)]
pub struct SlabEventView<'a> {
    pub event: SlabEventKind,
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// `CLOCK_BOOTTIME`
    pub t_ns: u64,
    pub slab_cache: Option<SlabCacheView<'a>>,
    /// The requested name (`slab_aliased`, `slab_failed`).
    pub asked: Option<Name<'a>>,
    /// The creator, or the thread that destroyed it.
    pub creator: Option<CreatorView<'a>>,
    pub task: Option<TaskView<'a>>,
    #[serde(flatten)]
    pub loss: Option<SlabLoss>,
}

/// Kinds of events; named as in the JSON output.
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

/// Changes since the previous report.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SlabDelta {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    pub t_ns: u64,
    /// Existing caches, including leaked ones.
    pub caches: u64,
    pub created: u64,
    pub released: u64,
    pub aliased: u64,
    pub leaked: i64,
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
    /// Changes from `before` to now.
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

    /// Whether nothing changed.
    pub fn is_quiet(&self) -> bool {
        (self.created, self.released, self.aliased, self.leaked) == (0, 0, 0, 0)
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
