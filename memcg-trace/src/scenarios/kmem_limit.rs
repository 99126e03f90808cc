//! The kmem limit is set and removed again, something runs, the cgroup is removed: the leak that started this project.
//!
//! On RHEL 7 (3.10 before 1075.el7) writing `memory.kmem.limit_in_bytes` permanently enabled kernel memory accounting.
//! Each memcg then had its own slab caches, an object left in any of them pinned the memcg, and the memcg held its ID
//! until `__mem_cgroup_free`: after some weeks of containers, mkdir failed with "cannot allocate memory"
//! (kubernetes#61937, runc#1725; `cgroup.memory=nokmem` avoids it). Since 5.9 memcgs share slab caches (10befea91b61),
//! and later kernels ignore the value. Cgroup v2 has no such file.

use std::{fs::File, io, net::UdpSocket, os::unix::net::UnixDatagram, thread, time::Duration};

use anyhow::{Result, ensure};
use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// Objects of each kind.
const OBJECTS: usize = 16;

/// A kworker creates a memcg's copy of a slab cache when the memcg first allocates from it; that first object comes
/// from the root cache (memcg_create_cache_work_func). So tasks run until no more caches appear, up to this many
/// rounds.
const ROUNDS: u32 = 50;
/// Rounds without a new cache after which it stops, and the pause between rounds.
const QUIET_ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);

pub struct KmemLimit;

impl Scenario for KmemLimit {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        ensure!(
            stage.home().has_kmem_limit(),
            "there is no kernel memory limit here: only cgroup v1 has one"
        );
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        victim.toggle_kmem_limit()?;
        work(&victim)?;
        victim.remove()
    }
}

/// Runs tasks in the cgroup until its memcg has its own copy of every slab cache they use, where memcgs have copies.
pub fn work(victim: &Cgroup) -> Result<()> {
    let (mut caches, mut quiet) = (0, 0);
    for _ in 0..ROUNDS {
        Task::run(victim, make_kernel_objects)?;
        let Some(now) = victim.slab_caches() else { break };
        quiet = if now == caches { quiet + 1 } else { 0 };
        caches = now;
        if quiet == QUIET_ROUNDS {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Lets the kernel allocate objects of many kinds for the calling task, which has a single thread, and free them. Does
/// not touch a disk: a directory block that is read is charged as page cache.
fn make_kernel_objects() -> io::Result<()> {
    // SAFETY: the child only exits.
    match unsafe { fork() }? {
        // SAFETY: takes no pointer.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => waitpid(child, None)?,
    };
    for _ in 0..OBJECTS {
        let _objects = (
            io::pipe()?,
            UnixDatagram::pair()?,
            UdpSocket::bind("127.0.0.1:0")?,
            File::open("/proc/self/status")?,
        );
    }
    Ok(())
}
