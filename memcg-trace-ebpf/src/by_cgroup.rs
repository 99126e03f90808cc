//! kprobes on the memory controller's callbacks where they take cgroups (3.10). There a memcg outlives its css:
//! `css_free` drops one reference to the memcg, and only `__mem_cgroup_free` frees its memory and its ID.
//!
//! `css_alloc_enter` and `css_offline` (the return) are those of `css.rs`.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use memcg_trace_common::Hook;

use crate::{css::allocated, frame::Firing};

/// Fires in the thread of mkdir. Valid: css and memcg ID, or the errno; the new cgroup is the argument, its parent is
/// linked. A missed firing hides a failed allocation, and the cgroup's memcg.
#[kretprobe]
pub fn cgroup_css_alloc(ctx: RetProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssAlloc) else { return 0 };
    let css: u64 = ctx.ret();
    let made = allocated(&mut firing, css);
    if let Some(cgroup) = firing.entered_css() {
        if made {
            firing.remember(cgroup, css);
        }
        firing.parent_of(cgroup);
    }
    firing.emit(&ctx);
    0
}

/// Everything is valid. If the name cannot be read through a layout, a separate event follows with the path that the
/// thread passed to mkdir. A missed firing: the memcg is first seen at its removal, without creator.
#[kprobe]
pub fn cgroup_css_online(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssOnline) else { return 0 };
    let Some(css) = firing.memcg_of(ctx.arg(0).unwrap_or(0)) else { return 0 };
    firing.css(css);
    let asked = if firing.is_blind() { firing.asked() } else { None };
    firing.emit(&ctx);
    if let Some(path) = asked
        && let Some(mut firing) = Firing::start(Hook::CgroupMkdir)
    {
        firing.facts().memcg(css);
        firing.path(path);
        firing.emit(&ctx);
    }
    0
}

/// `mem_cgroup_css_offline` again, to get the thread: on these kernels that of rmdir. A missed firing: the remover
/// stays unknown.
#[kprobe]
pub fn cgroup_css_removed(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CgroupRmdir, Then::Keep)
}

/// Everything is valid. A missed firing: the return has the same facts.
#[kprobe]
pub fn cgroup_css_offline_enter(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CssOfflineEnter, Then::Return)
}

/// Fires in a kworker some 10 ms later, or in the thread of a mkdir that fails. The cgroup is still there. A missed
/// firing: the memcg looks as if its css still existed.
#[kprobe]
pub fn cgroup_css_free(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CssPut, Then::Forget)
}

/// Fires in a kworker after the memcg's last reference is dropped, or in a `css_alloc` that fails. The cgroup is gone,
/// and the memcg's pointer to it is dangling. A missed firing makes a freed memcg look leaked.
#[kprobe]
pub fn memcg_free(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::MemcgFree) else { return 0 };
    firing.facts().memcg(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}

/// What happens to the cgroup after the callback.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Its return is hooked.
    Return,
    /// The cgroup stays.
    Keep,
    /// The cgroup is freed.
    Forget,
}

/// All facts of the memcg of the callback's cgroup.
#[inline(always)]
fn emit(ctx: &ProbeContext, hook: Hook, then: Then) -> u32 {
    let Some(mut firing) = Firing::start(hook) else { return 0 };
    let cgroup = ctx.arg(0).unwrap_or(0);
    let Some(css) = firing.memcg_of(cgroup) else { return 0 };
    match then {
        Then::Return => firing.enter_css(css),
        Then::Forget => firing.forget(cgroup),
        Then::Keep => {}
    }
    firing.css(css);
    firing.emit(ctx);
    0
}
