//! A cgroup that only charges memory, so that CPUs drop their stocks of other memcgs.
//!
//! Each CPU keeps a stock of pre-charged pages, with a reference to their memcg. Memory that is uncharged after
//! css_offline has drained the stocks refills one: a memcg that nothing else pins then stays until another memcg
//! charges on that CPU (mm/memcontrol.c, refill_stock). On a busy machine that is soon, in a VM never. Since 6.16 a
//! stock has room for seven memcgs, and one bystander evicts none of them; but reclaim of a memcg drains the whole
//! stock of every CPU that has pages for it (drain_all_stock). One that has taken its last page out of a stock is not
//! among them, so it takes another number of pages each time.

use std::{
    os::unix::process::CommandExt as _,
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::cgroup::{Cgroup, hierarchy, let_join, reclaim};

/// Bytes of an argument: it is copied to the stack of the program, and may be 32 pages (`MAX_ARG_STRLEN`).
const ARGUMENT_STEP: usize = 4096;
const ARGUMENT_STEPS: usize = 31;

/// The bystander; exists from before tracing until after it.
pub fn new() -> Cgroup {
    Cgroup::below_root(&name())
}

fn name() -> String {
    format!("memcg-trace-test-bystander-{}", process::id())
}

/// Charges memory on every CPU, then lets the kernel reclaim it.
pub fn evict_stocks() {
    let directory = hierarchy().1.join(name());
    if !directory.exists() {
        return;
    }
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let argument = "x".repeat(TIMES.fetch_add(1, Ordering::Relaxed) % ARGUMENT_STEPS * ARGUMENT_STEP);
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    for cpu in 0..cpus {
        let mut command = Command::new("true");
        command.arg(&argument);
        let mut only = CpuSet::new();
        if only.set(cpu).is_err() {
            return;
        }
        let stay = move || Ok(sched_setaffinity(Pid::from_raw(0), &only)?);
        // SAFETY: after the fork it makes a system call, nothing else.
        unsafe { let_join(&directory, &mut command).pre_exec(stay) };
        // A CPU that we may not run on has no stock of ours.
        let _ = command.status();
    }
    // Reclaim drains the stocks first.
    reclaim(&directory);
}
