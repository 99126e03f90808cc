//! What a path, a process or a container id belongs to.

use serde::Serialize;

use crate::{
    attribution::{Container, Unit},
    report::escape::Name,
};

/// The answer to one question.
#[derive(Debug, Serialize)]
pub struct WhoisView<'a> {
    /// As it was asked.
    pub query: Name<'a>,
    /// `null` where there is none: `error` says why.
    pub path: Option<Name<'a>>,
    pub path_source: Option<PathSource>,
    /// `null` where neither the path nor the node proves a container or a pod.
    pub container: Option<Container>,
    /// `null` where the path begins with no systemd unit.
    pub unit: Option<Unit>,
    pub error: Option<String>,
}

/// How the path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathSource {
    /// It was the question.
    Given,
    /// /proc/PID/cgroup.
    Proc,
    /// A directory of the mounted hierarchy.
    Hierarchy,
}
