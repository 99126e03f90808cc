//! Tracepoints on the mkdir syscalls, for kernels without cgroup tracepoints whose layout is unknown: the path that a
//! thread passes is that of the new cgroup.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use memcg_trace_common::Hook;

use crate::frame::Firing;

/// Offset of a syscall's arguments in its tracepoint: after the common fields and the syscall number.
const ARGUMENTS: usize = 16;

/// `(const char *pathname, umode_t mode)`. A missed firing: the memcg has no path.
#[tracepoint]
pub fn sys_enter_mkdir(ctx: TracePointContext) -> u32 {
    ask(&ctx, ARGUMENTS)
}

/// `(int dfd, const char *pathname, umode_t mode)`. A path that starts with `/` does not depend on the directory.
#[tracepoint]
pub fn sys_enter_mkdirat(ctx: TracePointContext) -> u32 {
    ask(&ctx, ARGUMENTS + size_of::<u64>())
}

#[inline(always)]
fn ask(ctx: &TracePointContext, offset: usize) -> u32 {
    let Some(mut firing) = Firing::start(Hook::MkdirEnter) else { return 0 };
    // SAFETY: the tracepoint's record has the argument there.
    if let Ok(path) = unsafe { ctx.read_at::<u64>(offset) } {
        firing.ask(path);
    }
    0
}
