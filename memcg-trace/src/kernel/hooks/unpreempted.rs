//! Map reads that do not lose events.
//!
//! While the kernel copies a map value for a system call, it runs no kprobe programs on that CPU (`bpf_prog_active`,
//! `bpf_disable_instrumentation` in include/linux/bpf.h). That takes a microsecond, unless the reader is preempted in
//! the middle: then the task that preempted it is not traced for a whole time slice. Seen on 7.2: a storm missed 30
//! firings at once. Ordinary tasks do not preempt a real-time one.

use std::io;

/// Calls `read`, which must be short, with this thread at the lowest real-time priority; at normal priority if that is
/// refused (a container without CAP_SYS_NICE), where missed firings are still counted.
pub fn unpreempted<T>(read: impl FnOnce() -> T) -> T {
    let _guard = RealTime::enter();
    read()
}

/// Real-time priority of this thread, until dropped.
struct RealTime;

impl RealTime {
    /// `None` if refused, or if this thread already has another scheduling policy.
    fn enter() -> Option<Self> {
        // SAFETY: it takes no pointer; 0 is the calling thread.
        let ordinary = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
        (ordinary && schedule(libc::SCHED_FIFO, 1)).then_some(Self)
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        schedule(libc::SCHED_OTHER, 0);
    }
}

fn schedule(policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: it reads `parameters`, which outlives the call; 0 is the calling thread.
    let done = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } == 0;
    if !done {
        log::debug!("cannot set scheduling policy {policy}: {}", io::Error::last_os_error());
    }
    done
}
