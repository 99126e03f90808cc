//! A task creates a network namespace and is moved to another cgroup.
//!
//! The kernel opens sockets of its own in each network namespace (netlink, ICMP, IGMP), and they belong to the memcg of
//! the task that created it, for as long as the namespace lives: a process in it, a descriptor, or a mount such as those
//! in /run/netns, which runtimes forget when they crash. On v1 this applies to cgroups whose
//! `memory.kmem.tcp.limit_in_bytes` was ever set.

use std::{io, path::Path};

use anyhow::ensure;
use nix::sched::{CloneFlags, unshare};

use super::{Scenario, taken_along::TakenAlong};
use crate::{cause::Pin, kernel::cgroupfs::cgroup::Cgroup};

pub fn scenario() -> impl Scenario {
    let take = || unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    TakenAlong::new("the namespace", &[Pin::NetNamespace], take).prepared(Cgroup::charge_sockets).if_possible(
        || {
            ensure!(Path::new("/proc/self/ns/net").exists(), "this kernel has no network namespaces");
            Ok(())
        },
    )
}
