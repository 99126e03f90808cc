//! The cgroup file system: where the memory controller is, what cgroups say, and cgroups that we make.

pub mod cgroup;
pub mod cgroup_stat;
pub mod hierarchy;
pub mod kmem;
pub mod mounts;
