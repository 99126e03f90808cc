//! Hooks on the creation and release of slab caches.

use memcg_trace_common::SlabHook;

use super::plan::Planned;
use crate::kernel::memory::symbols::Symbols;

/// Hooks for every kernel. Ends come before starts and returns before entries, as for memcgs.
pub const ALL: &[Planned<SlabHook>] = &[
    // Without it, no cache counts as leaked for not being released. Before 3.15 (41a212859a4d) a destroyed cache frees
    // its parameters last.
    Planned {
        hook: SlabHook::Release,
        program: "cache_release",
        target: "slab_kmem_cache_release|memcg_free_cache_params",
        optional: Some("which caches are released, and so which of them leak"),
    },
    Planned {
        hook: SlabHook::Destroy,
        program: "cache_destroy",
        target: "kmem_cache_destroy",
        optional: None,
    },
    Planned {
        hook: SlabHook::ModuleFree,
        program: "module_free",
        target: "free_module",
        optional: Some("which modules go and leave caches behind"),
    },
    // Both are only called for new caches. 3.10 has another function with the second name, hence the order.
    Planned {
        hook: SlabHook::New,
        program: "cache_new",
        target: "sysfs_slab_add|do_kmem_cache_create",
        optional: Some("caches from aliases other than by their reference count"),
    },
    // Since 6.12 kmem_cache_create and its variants are macros that call the first one; since 4.16 (8eb8284b4129)
    // functions that call the second one.
    Planned { hook: SlabHook::Create, program: "cache_create", target: CREATE, optional: None },
    Planned { hook: SlabHook::CreateEnter, program: "cache_create_enter", target: CREATE, optional: None },
    Planned {
        hook: SlabHook::ModuleInit,
        program: "module_init",
        target: "do_init_module",
        optional: Some("what modules create that are loaded later"),
    },
    Planned {
        hook: SlabHook::ModuleInitEnter,
        program: "module_init_enter",
        target: "do_init_module",
        optional: Some("what modules create that are loaded later"),
    },
];

const CREATE: &str = "__kmem_cache_create_args|kmem_cache_create_usercopy|kmem_cache_create";

/// Up to 5.8 each memcg had a copy of each cache that it used (9855609bde03, 5.9, did away with it). 3.10 has the
/// second name, and passes `mem_cgroup_css_offline` a cgroup, which matches no memcg. The hook that other kernels lack
/// comes first: if it is refused, nothing is left attached.
pub const MEMCG: &[Planned<SlabHook>] = &[
    Planned {
        hook: SlabHook::MemcgCreate,
        program: "memcg_cache_create",
        target: MEMCG_CREATE,
        optional: None,
    },
    Planned {
        hook: SlabHook::MemcgOffline,
        program: "memcg_offline",
        target: "mem_cgroup_css_offline",
        optional: None,
    },
    Planned {
        hook: SlabHook::MemcgCreateEnter,
        program: "memcg_cache_create_enter",
        target: MEMCG_CREATE,
        optional: None,
    },
];

const MEMCG_CREATE: &str = "memcg_create_kmem_cache|kmem_cache_create_memcg";

/// The hooks for every kernel, and those for kernels whose memcgs have their own caches.
pub const PLANS: [&[Planned<SlabHook>]; 2] = [ALL, MEMCG];

/// All hooked functions, on any kernel.
pub fn functions() -> impl Iterator<Item = &'static str> {
    PLANS.into_iter().flatten().flat_map(Planned::functions)
}

/// Functions hooked at entry and return.
pub const RETURNS: &[(SlabHook, SlabHook)] = &[
    (SlabHook::CreateEnter, SlabHook::Create),
    (SlabHook::MemcgCreateEnter, SlabHook::MemcgCreate),
    (SlabHook::ModuleInitEnter, SlabHook::ModuleInit),
];

/// Whether a function is the slab allocator's own. The creator of a cache is the first other caller on the stack.
pub fn is_allocator(function: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] =
        [b"kmem_cache_", b"__kmem_cache_", b"kmem_buckets_create", b"memcg_create_kmem_cache"];
    BEGINNINGS.iter().any(|beginning| function.starts_with(beginning))
}

/// Whether memcgs have their own caches on this kernel, even if nothing can be attached. `None`: could not tell.
pub fn has_memcg_caches() -> Option<bool> {
    let functions: Vec<_> = MEMCG_CREATE.split('|').collect();
    Symbols::open().and_then(|mut symbols| symbols.has(&functions)).ok()
}
