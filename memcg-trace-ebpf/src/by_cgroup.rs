//! kprobes on the memory controller's callbacks where they are called with cgroups (3.10). There a memcg outlives its css:
//! `css_free` drops one reference to the memcg, and nothing but `__mem_cgroup_free` gives its memory and its ID back.
//!
//! `css_alloc_enter` and `css_offline` (the return) are those of `css.rs`.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use memcg_trace_common::Hook;

use crate::{css::allocated, frame::Firing};

/// Fires in the thread of mkdir. Valid: css and memcg ID, or the errno; the new cgroup is the argument, its parent is linked.
/// A missed firing hides a failed allocation, and which memcg the cgroup has.
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

/// Everything is valid. Where no layout leads to the name, the path that the thread gave to mkdir follows in an event of its
/// own. A missed firing: the memcg is first seen at its removal, without creator.
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

/// `mem_cgroup_css_offline` again, for who runs it: on these kernels that is the thread of rmdir. A missed firing: the
/// remover stays unknown.
#[kprobe]
pub fn cgroup_css_removed(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CgroupRmdir, Then::Keep)
}

/// Everything is valid. A missed firing: the return tells the same.
#[kprobe]
pub fn cgroup_css_offline_enter(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CssOfflineEnter, Then::Return)
}

/// Fires in a kworker some 10 ms later, or in the thread of a mkdir that fails. The cgroup is still there. A missed firing:
/// the memcg looks like one whose css lives.
#[kprobe]
pub fn cgroup_css_free(ctx: ProbeContext) -> u32 {
    emit(&ctx, Hook::CssPut, Then::Forget)
}

/// Fires in a kworker when nothing refers to the memcg any more, or within a `css_alloc` that fails. The cgroup is gone,
/// and what the memcg says of it means nothing. A missed firing makes a freed memcg look leaked.
#[kprobe]
pub fn memcg_free(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::MemcgFree) else { return 0 };
    firing.facts().memcg(ctx.arg(0).unwrap_or(0));
    firing.emit(&ctx);
    0
}

/// What comes after the callback.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Its return is hooked.
    Return,
    /// The cgroup stays.
    Keep,
    /// The cgroup goes.
    Forget,
}

/// All of the memcg whose cgroup the callback is called with.
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
