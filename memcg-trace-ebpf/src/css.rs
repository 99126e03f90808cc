//! kprobes on the memory controller's css callbacks: the exact lifecycle of a memcg.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use memcg_trace_common::Hook;

use crate::frame::Firing;

/// Highest errno; `ERR_PTR` values lie above its negation (`MAX_ERRNO`, include/linux/err.h).
const MAX_ERRNO: u64 = 4095;
/// Meaning of NULL from an allocator.
const ENOMEM: u32 = 12;

/// Fires in the thread that runs mkdir or writes `+memory`. The argument is the parent's css. A missed firing leaves
/// the return without its parent.
#[kprobe]
pub fn css_alloc_enter(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssAllocEnter) else { return 0 };
    firing.enter_css(ctx.arg(0).unwrap_or(0));
    0
}

/// Valid: css and memcg ID; no cgroup, serial or name yet. Or the errno. A missed firing hides a failed allocation.
#[kretprobe]
pub fn css_alloc(ctx: RetProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssAlloc) else { return 0 };
    allocated(&mut firing, ctx.ret());
    if let Some(parent) = firing.entered_css() {
        firing.facts().parent(parent);
    }
    firing.emit(&ctx);
    0
}

/// Everything is valid, css flags are still 0. If the name cannot be read through a layout, `cgroup_mkdir_path` reports
/// it. A missed firing: the memcg is first seen at its removal, without creator.
#[kprobe]
pub fn css_online(ctx: ProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssOnline) else { return 0 };
    let css = ctx.arg(0).unwrap_or(0);
    firing.css(css);
    if firing.is_blind() {
        firing.enter_css(css);
    }
    firing.emit(&ctx);
    0
}

/// Fires in a kworker, 15 to 60 ms after rmdir. Everything is valid, the memcg ID is still held. A missed firing: the
/// return has the same facts.
#[kprobe]
pub fn css_offline_enter(ctx: ProbeContext) -> u32 {
    emit_css(&ctx, Hook::CssOfflineEnter, ctx.arg(0).unwrap_or(0), true)
}

/// The memcg ID is 0 if released, otherwise held. The caller holds a reference, so the css is valid. A missed firing
/// leaves the ID's state unknown until `css_released`.
#[kretprobe]
pub fn css_offline(ctx: RetProbeContext) -> u32 {
    let Some(mut firing) = Firing::start(Hook::CssOffline) else { return 0 };
    let Some(css) = firing.entered_css() else { return 0 };
    firing.css(css);
    firing.emit(&ctx);
    0
}

/// Fires in a kworker when the last reference is gone. The memcg ID is 0 here on every kernel.
#[kprobe]
pub fn css_released(ctx: ProbeContext) -> u32 {
    emit_css(&ctx, Hook::CssReleased, ctx.arg(0).unwrap_or(0), false)
}

/// Fires in a kworker one RCU grace period later; cgroup and parent are still referenced. A missed firing makes a freed
/// memcg look leaked.
#[kprobe]
pub fn css_free(ctx: ProbeContext) -> u32 {
    emit_css(&ctx, Hook::CssFree, ctx.arg(0).unwrap_or(0), false)
}

/// Records the return value of `css_alloc`; true if it is a css.
#[inline(always)]
pub fn allocated(firing: &mut Firing, css: u64) -> bool {
    if css == 0 {
        firing.errno(ENOMEM);
    } else if css >= MAX_ERRNO.wrapping_neg() {
        firing.errno(css.wrapping_neg() as u32);
    } else {
        firing.facts().memcg(css);
        return true;
    }
    false
}

#[inline(always)]
fn emit_css(ctx: &ProbeContext, hook: Hook, css: u64, remember: bool) -> u32 {
    let Some(mut firing) = Firing::start(hook) else { return 0 };
    if remember {
        firing.enter_css(css);
    }
    firing.css(css);
    firing.emit(ctx);
    0
}
