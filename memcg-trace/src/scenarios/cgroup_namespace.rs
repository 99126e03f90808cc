//! A task creates a cgroup namespace and is moved to another cgroup.
//!
//! The namespace's root is the css_set that the task had at that time (`cgroup_namespace.root_cset`), with a reference
//! to the css of every controller, on every kernel. It lives as long as any task in it or any file descriptor for it:
//! container runtimes create such a namespace for each container, and a hanging `nsenter` keeps it.

use std::{io, path::Path};

use anyhow::ensure;
use nix::sched::{CloneFlags, unshare};

use super::{Scenario, taken_along::TakenAlong};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    let take = || unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from);
    TakenAlong::new("the namespace", &[Pin::CgroupNamespace], take).if_possible(|| {
        // a79a908fd2b0, 4.6
        ensure!(Path::new("/proc/self/ns/cgroup").exists(), "this kernel has no cgroup namespaces");
        Ok(())
    })
}
