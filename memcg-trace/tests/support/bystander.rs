//! A cgroup that does nothing but charge memory, because a memcg may wait for that.
//!
//! Each CPU keeps a stock of pages charged ahead, with a reference to their memcg. What a task leaves behind is uncharged
//! after css_offline has drained the stocks, and fills one again: a memcg that nothing else pins then stays until another
//! memcg charges on that CPU (mm/memcontrol.c, refill_stock). On a busy machine that is soon, in a VM it is never. Since
//! 6.16 a stock has room for seven memcgs, and one bystander drives out none of them; but to empty a memcg the kernel drains
//! the whole stock of every CPU that has pages for it (drain_all_stock).

use std::{
    os::unix::process::CommandExt as _,
    process::{self, Command},
    thread,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::cgroup::{Cgroup, hierarchy, let_join, reclaim};

/// The bystander; it is there before anything is traced, and goes after.
pub fn new() -> Cgroup {
    Cgroup::below_root(&name())
}

fn name() -> String {
    format!("memcg-trace-test-bystander-{}", process::id())
}

/// Charges memory on every CPU, then lets the kernel take it back.
pub fn evict_stocks() {
    let directory = hierarchy().1.join(name());
    if !directory.exists() {
        return;
    }
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    for cpu in 0..cpus {
        let mut command = Command::new("true");
        let mut only = CpuSet::new();
        if only.set(cpu).is_err() {
            return;
        }
        let stay = move || Ok(sched_setaffinity(Pid::from_raw(0), &only)?);
        // SAFETY: after the fork it makes a system call, nothing else.
        unsafe { let_join(&directory, &mut command).pre_exec(stay) };
        // A CPU that is not ours has no stock of ours.
        let _ = command.status();
    }
    // Drains the stocks first.
    reclaim(&directory);
}
