//! The kmem limit is set and lifted again, something runs, the cgroup is removed: the leak that started this project.
//!
//! On RHEL 7 (3.10 before 1075.el7) writing `memory.kmem.limit_in_bytes` switched the accounting of kernel memory on, for
//! good. Each memcg then had slab caches of its own, an object left in any of them kept the memcg, and the memcg kept its ID
//! until `__mem_cgroup_free`: after some weeks of containers, mkdir said "cannot allocate memory" (kubernetes#61937,
//! runc#1725; `cgroup.memory=nokmem` avoids it). Since 5.9 memcgs share slab caches (10befea91b61), and later kernels take
//! the value without effect. Cgroup v2 has no such file.

use std::{fs::File, io, net::UdpSocket, os::unix::net::UnixDatagram, thread, time::Duration};

use anyhow::{Result, ensure};
use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};

use super::{
    Pump, Scenario,
    stage::{ForkedTask, Stage},
};
use crate::kernel::cgroupfs::cgroup::Cgroup;

/// Of each kind.
const OBJECTS: usize = 16;

/// A memcg's own slab cache is made by a worker when the memcg first wants an object of it, which it then gets from
/// elsewhere (memcg_create_cache_work_func). So tasks run until no further cache comes, but so many at most.
const ROUNDS: u32 = 50;
/// So many rounds without another cache, this long each.
const QUIET_ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);

pub struct KmemLimit;

impl Scenario for KmemLimit {
    fn set_up(&mut self, stage: &Stage, _: u64) -> Result<()> {
        ensure!(
            stage.home().has_kmem_limit(),
            "kernel memory has no limit of its own here: cgroup v1 alone has one"
        );
        Ok(())
    }

    fn provoke(&mut self, victim: Cgroup, _: &Stage, _: Pump<'_>) -> Result<()> {
        victim.toggle_kmem_limit()?;
        work(&victim)?;
        victim.remove()
    }
}

/// Runs tasks in the cgroup until its memcg has a slab cache of its own of whatever they use, where memcgs have any.
pub fn work(victim: &Cgroup) -> Result<()> {
    let (mut caches, mut quiet) = (0, 0);
    for _ in 0..ROUNDS {
        ForkedTask::run(victim, make_kernel_objects)?;
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

/// Lets the kernel allocate objects of many kinds for the calling task, which has a single thread, and free them. Nothing of
/// it is on a disk: a block of a directory that is read is charged as page cache.
fn make_kernel_objects() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
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
