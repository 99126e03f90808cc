//! Kinds of remedies.

use serde::{Deserialize, Serialize};

/// Kinds of remedies, in order of risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    Find,
    LookElsewhere,
    RemoveEmpty,
    RemoveFiles,
    Reap,
    RestartOwners,
    DropCaches,
    Swapoff,
    RuntimeNokmem,
    Nokmem,
    Upgrade,
    Reboot,
}
