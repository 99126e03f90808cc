//! Raw tracepoints on cgroup directories. Their arguments are `(struct cgroup *, const char *path)`; unlike the
//! formatted tracepoints they need no tracefs and reach the css. v1 fires once per hierarchy: only that of the memory
//! controller passes.

use aya_ebpf::{
    macros::{kprobe, raw_tracepoint},
    programs::{ProbeContext, RawTracePointContext},
};
use memcg_trace_common::Hook;

use crate::frame::Firing;

/// Fires in the thread of mkdir, after the css is online. A cgroup without a memcg (v2: the parent does not enable the
/// controller) is ignored. A missed firing: the memcg is first seen at its removal.
#[raw_tracepoint]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    let Some(mut firing) = Firing::start(Hook::CgroupMkdir) else { return 0 };
    match firing.memory_css(ctx.arg(0)) {
        Some(0) => firing.ignore(),
        Some(css) => {
            firing.facts().css(css);
            firing.emit(&ctx);
        }
        None => {}
    }
    0
}

/// The same tracepoint where the layout is unknown: the css is the one that came online after the thread entered
/// `cgroup_mkdir`, the path is the second argument (4.19, e4f8d81c738d). Valid: the css, its path. A missed firing: the
/// memcg has no name.
#[raw_tracepoint]
pub fn cgroup_mkdir_path(ctx: RawTracePointContext) -> i32 {
    let Some(mut firing) = Firing::start(Hook::CgroupMkdir) else { return 0 };
    match firing.newborn() {
        Some(css) => {
            firing.leave();
            firing.remember(ctx.arg(0), css);
            firing.facts().memcg(css);
            firing.path(ctx.arg(1));
            firing.emit(&ctx);
        }
        None => firing.ignore(),
    }
    0
}

/// Fires in the thread of mkdir, for every hierarchy. A missed firing: a css that this thread left behind by enabling
/// the controller may be mistaken for the new cgroup's.
#[kprobe]
pub fn cgroup_mkdir_enter(_ctx: ProbeContext) -> u32 {
    if let Some(firing) = Firing::start(Hook::MkdirEnter) {
        firing.leave();
    }
    0
}

/// Fires in the thread of rmdir, before css_offline (both hold cgroup_mutex, so the css is still linked). Without a
/// css, only the cgroup is reported: an older memcg of it may be dying. A missed firing: the remover stays unknown.
#[raw_tracepoint]
pub fn cgroup_rmdir(ctx: RawTracePointContext) -> i32 {
    let Some(mut firing) = Firing::start(Hook::CgroupRmdir) else { return 0 };
    match firing.memory_css(ctx.arg(0)) {
        Some(0) => firing.facts().cgroup(ctx.arg(0)),
        Some(css) => firing.facts().css(css),
        None => return 0,
    }
    if firing.is_blind() {
        firing.forget(ctx.arg(0));
    }
    firing.emit(&ctx);
    0
}

/// Fires in a kworker after every css of the cgroup was freed (css_free_rwork_fn puts the cgroup last). Valid: the
/// cgroup. A missed firing makes a freed memcg look leaked.
#[raw_tracepoint]
pub fn cgroup_release(ctx: RawTracePointContext) -> i32 {
    let Some(mut firing) = Firing::start(Hook::CgroupRelease) else { return 0 };
    if firing.memory_css(ctx.arg(0)).is_some() {
        firing.facts().cgroup(ctx.arg(0));
        firing.emit(&ctx);
    }
    0
}
