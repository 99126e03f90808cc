//! kprobes on the slab allocator, and on the modules that use it.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use memcg_trace_common::{SlabField, SlabHook, SlabInFlight};

use crate::{
    cache_firing::{initialised, stack},
    frame::Firing,
};

/// `(const char *name, unsigned size, ...)` in the thread that creates a cache. A missed firing leaves the return
/// without name and creator, which is counted.
#[kprobe]
pub fn cache_create_enter(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::CreateEnter) else { return 0 };
    let asked = ctx.arg(0).unwrap_or(0);
    let asked_size = ctx.arg::<u64>(1).unwrap_or(0) as u32;
    firing.enter(SlabInFlight { asked, memcg: 0, root: 0, new: 0, asked_size, stack: stack(&ctx) });
    0
}

/// `(struct kmem_cache *s, ...)`: the cache is about to be added to /sys/kernel/slab; not called for aliases. A missed
/// firing: its reference count of one shows the same.
#[kprobe]
pub fn cache_new(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::New) else { return 0 };
    firing.made(ctx.arg(0).unwrap_or(0));
    0
}

/// Valid: the cache and all its members, or NULL. A missed firing: the cache is first seen when it is destroyed.
#[kretprobe]
pub fn cache_create(ctx: RetProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::Create) else { return 0 };
    let cache: u64 = ctx.ret();
    let Some(entry) = firing.entered() else { return 0 };
    firing.event.header.asked_size = entry.asked_size;
    firing.event.header.known |= SlabField::ASKED_SIZE;
    firing.asked(entry.asked);
    firing.site(entry.stack);
    if cache != 0 {
        firing.cache(cache);
        firing.is_new(entry.new == cache);
    }
    firing.emit(&ctx);
    0
}

/// `(struct kmem_cache *s)`, before its reference count is decremented. NULL is allowed and ignored. A missed firing:
/// the release comes without a destruction.
#[kprobe]
pub fn cache_destroy(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::Destroy) else { return 0 };
    match ctx.arg(0).unwrap_or(0) {
        0 => firing.ignore(),
        cache => {
            firing.cache(cache);
            firing.emit(&ctx);
        }
    }
    0
}

/// `(struct kmem_cache *s)`: everything is still valid. A missed firing makes a released cache look leaked.
#[kprobe]
pub fn cache_release(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::Release) else { return 0 };
    firing.cache(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}

/// `(struct mem_cgroup *memcg, struct kmem_cache *root)` in a kworker. The css is the memcg's first member. A missed firing
/// leaves the return without memcg, which is counted.
#[kprobe]
pub fn memcg_cache_create_enter(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::MemcgCreateEnter) else { return 0 };
    let (memcg, root) = (ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    firing.enter(SlabInFlight { asked: 0, memcg, root, new: 0, asked_size: 0, stack: -1 });
    0
}

/// The copy is the cache created meanwhile; some kernels return it, some return nothing. None: another thread created
/// it first. A missed firing: the copy is first seen when it is released.
#[kretprobe]
pub fn memcg_cache_create(ctx: RetProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::MemcgCreate) else { return 0 };
    let Some(entry) = firing.entered() else { return 0 };
    if entry.new == 0 {
        firing.ignore();
        return 0;
    }
    firing.cache(entry.new);
    firing.is_new(true);
    firing.memcg(entry.memcg);
    firing.event.header.root = entry.root;
    firing.event.header.known |= SlabField::ROOT;
    firing.emit(&ctx);
    0
}

/// `(struct cgroup_subsys_state *css)` in a kworker. A missed firing hides that the memcg's caches have outlived it.
#[kprobe]
pub fn memcg_offline(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::MemcgOffline) else { return 0 };
    firing.memcg(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}

/// `(struct module *mod)`: runs its init function. The symbols of that are gone before they can be looked up, hence
/// this hook. The event has the earliest time at which the module's code can have run: a module loaded later may occupy
/// the memory of an init function. A missed firing leaves those caches without a creator.
#[kprobe]
pub fn module_init_enter(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::ModuleInitEnter) else { return 0 };
    firing.initialising(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}

/// A missed firing: caches that this thread creates later are attributed to the module, unless it exits or loads
/// another one.
#[kretprobe]
pub fn module_init(_ctx: RetProbeContext) -> u32 {
    let Some(_firing) = Firing::start(SlabHook::ModuleInit) else { return 0 };
    initialised();
    0
}

/// `(struct module *mod)`, after its exit function, or when its init function failed. A missed firing: caches that the
/// module left behind do not look leaked.
#[kprobe]
pub fn module_free(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(SlabHook::ModuleFree) else { return 0 };
    firing.module(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}
