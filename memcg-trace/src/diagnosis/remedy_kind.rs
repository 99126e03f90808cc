//! What can be done about a leak.

use serde::{Deserialize, Serialize};

/// What can be done; the order is that of risk.
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
