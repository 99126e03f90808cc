//! The hooks that each kernel gets, according to its symbols: extracts of /proc/kallsyms (tests/symbols) of booted
//! kernels. 3.10, 4.19 and 5.4 were built with few options and without unloadable modules.

use memcg_trace::{
    kernel::hooks::{
        css_callbacks::Callbacks,
        plan::{KernelKind, plan},
        slab_plan,
    },
    record::Backend,
};
use memcg_trace_common::{Hook, SlabHook};

/// A kernel, the argument of its callbacks, and the optional hooks that it lacks.
type Row = (&'static str, &'static str, Callbacks, &'static [&'static str]);

#[rustfmt::skip]
const KERNELS: &[Row] = &[
    ("3.10-el7", include_str!("../symbols/3.10-el7.txt"), Callbacks::Cgroup, &[]),
    ("4.19", include_str!("../symbols/4.19.txt"), Callbacks::Css, &[]),
    ("5.4", include_str!("../symbols/5.4.txt"), Callbacks::Css, &[]),
    ("5.10", include_str!("../symbols/5.10.txt"), Callbacks::Css, &[]),
    ("6.1", include_str!("../symbols/6.1.txt"), Callbacks::Css, &[]),
    ("6.12", include_str!("../symbols/6.12.txt"), Callbacks::Css, &[]),
    ("7.2", include_str!("../symbols/7.2.txt"), Callbacks::Css, &[]),
];

fn has(symbols: &str, hook: Hook, target: &str) -> bool {
    // CONFIG_FTRACE_SYSCALLS; not visible in symbols.
    if target.starts_with("sys_enter_") {
        return true;
    }
    let tracepoint = format!("__tracepoint_{target}");
    let wanted = match hook {
        Hook::CgroupMkdir | Hook::CgroupRelease => &tracepoint,
        Hook::CgroupRmdir if target == "cgroup_rmdir" => &tracepoint,
        _ => target,
    };
    symbols.lines().any(|symbol| symbol == wanted)
}

#[test]
fn every_kernel_has_what_its_plan_needs() {
    for (kernel, symbols, callbacks, lacking) in KERNELS {
        assert_eq!(Callbacks::by(symbols.lines()), Some(*callbacks), "{kernel}");
        let mut lacks = Vec::new();
        for blind in [false, true] {
            for planned in plan(Backend::Kprobe, KernelKind { callbacks: *callbacks, blind }) {
                if !has(symbols, planned.hook, planned.target) {
                    assert!(planned.optional.is_some(), "{kernel} lacks {}", planned.target);
                    lacks.push(planned.target);
                }
            }
        }
        assert_eq!(&lacks, lacking, "{kernel}");
    }
}

/// Functions that create and release slab caches on each kernel, including those of memcgs. Names are tried in order,
/// and a name is not always the same function: 3.10 has another `do_kmem_cache_create`.
#[test]
fn slab_hooks() {
    const HOOKS: [SlabHook; 4] = [SlabHook::New, SlabHook::Create, SlabHook::Release, SlabHook::MemcgCreate];
    let usercopy = Some("kmem_cache_create_usercopy");
    let release = Some("slab_kmem_cache_release");
    let expected = |kernel: &str| match kernel {
        "3.10-el7" => {
            [Some("kmem_cache_create"), Some("memcg_free_cache_params"), Some("kmem_cache_create_memcg")]
        }
        "4.19" | "5.4" => [usercopy, release, Some("memcg_create_kmem_cache")],
        "5.10" | "6.1" => [usercopy, release, None],
        _ => [Some("__kmem_cache_create_args"), release, None],
    };
    for (kernel, symbols, ..) in KERNELS {
        let attached = HOOKS.map(|hook| {
            let planned = slab_plan::PLANS.into_iter().flatten().find(|planned| planned.hook == hook)?;
            planned.functions().find(|function| symbols.lines().any(|symbol| symbol == *function))
        });
        let [new, others @ ..] = attached;
        assert_eq!(new, Some("sysfs_slab_add"), "{kernel}");
        assert_eq!(others, expected(kernel), "{kernel}");
    }
}

/// Ends are hooked before starts, returns before entries.
#[test]
fn ends_before_beginnings() {
    for callbacks in [Callbacks::Css, Callbacks::Cgroup] {
        let hooks: Vec<_> = plan(Backend::Kprobe, KernelKind { callbacks, blind: false })
            .map(|planned| planned.hook)
            .collect();
        let place = |hook| hooks.iter().position(|h| *h == hook);
        for (first, second) in [
            (Hook::CssOffline, Hook::CssOnline),
            (Hook::CssOffline, Hook::CssOfflineEnter),
            (Hook::CssAlloc, Hook::CssAllocEnter),
        ] {
            assert!(
                place(first).is_some() && place(first) < place(second),
                "{callbacks:?}: {first:?}, {second:?}"
            );
        }
        let end = if callbacks == Callbacks::Css { Hook::CssFree } else { Hook::MemcgFree };
        assert_eq!(place(end), Some(0), "{callbacks:?}");
    }
}

#[test]
fn symbols_that_do_not_tell() {
    assert_eq!(Callbacks::by(["mem_cgroup_css_free", "__mem_cgroup_free", "schedule"]), None);
}
