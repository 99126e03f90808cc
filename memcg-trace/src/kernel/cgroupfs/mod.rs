//! The cgroup file system: the memory controller's hierarchy, cgroup counts, and cgroups that we create.

pub mod cgroup;
pub mod cgroup_stat;
pub mod hierarchy;
pub mod kmem;
pub mod limit;
pub mod mounts;
pub mod namespace;
