//! The view of `whois`.

use serde::Serialize;

use crate::{
    attribution::{Container, Unit},
    report::escape::Name,
};

/// The answer to a query.
#[derive(Debug, Serialize)]
pub struct WhoisView<'a> {
    /// The query itself.
    pub query: Name<'a>,
    /// `null`: see `error`.
    pub path: Option<Name<'a>>,
    pub path_source: Option<PathSource>,
    /// `null`: neither the path nor the node proves a container or pod.
    pub container: Option<Container>,
    /// `null`: the path does not start with a systemd unit.
    pub unit: Option<Unit>,
    pub error: Option<String>,
}

/// Source of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathSource {
    /// The query was the path.
    Given,
    /// /proc/PID/cgroup.
    Proc,
    /// A directory of the mounted hierarchy.
    Hierarchy,
    /// /proc/PID/cgroup, below the root of our cgroup namespace, which is read from the kernel.
    Kernel,
}
