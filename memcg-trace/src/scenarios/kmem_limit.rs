//! The kmem limit is set and lifted again, something runs, the cgroup is removed: the leak that started this project.
//!
//! On RHEL 7 (3.10 before 1075.el7) writing `memory.kmem.limit_in_bytes` switched the accounting of kernel memory on, for
//! good. Each memcg then had slab caches of its own, an object left in any of them kept the memcg, and the memcg kept its ID
//! until `__mem_cgroup_free`: after some weeks of containers, mkdir said "cannot allocate memory" (kubernetes#61937,
//! runc#1725; `cgroup.memory=nokmem` avoids it). Since 5.9 memcgs share slab caches (10befea91b61), and later kernels take
//! the value without effect. Cgroup v2 has no such file.

use std::{fs::File, io, net::UdpSocket, os::unix::net::UnixDatagram};

use anyhow::{Result, ensure};

use super::{
    Pump, Scenario,
    stage::{Stage, Task},
};
use crate::kernel::cgroup::Cgroup;

/// Of each kind.
const OBJECTS: usize = 16;

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
        victim.limit_kmem(1)?;
        victim.limit_kmem(-1)?;
        Task::run(&victim, make_kernel_objects)?;
        victim.remove()
    }
}

/// Lets the kernel allocate objects of many kinds for the calling task, and free them. Nothing of it is on a disk: a block
/// of a directory that is read is charged as page cache.
pub fn make_kernel_objects() -> io::Result<()> {
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
