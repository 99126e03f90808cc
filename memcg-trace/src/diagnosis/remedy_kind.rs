//! Kinds of remedies.

use serde::{Deserialize, Serialize};

/// Kinds of remedies, in order of risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    Find,
    Explain,
    LookElsewhere,
    RemoveEmpty,
    /// Drop the page cache of files that pin memcgs.
    ReapCache,
    RemoveFiles,
    RemoveNamespaces,
    /// End what outlived its cgroup.
    Reap,
    RestartOwners,
    DropCaches,
    Swapoff,
    RuntimeNokmem,
    Nokmem,
    Upgrade,
    Reboot,
}
