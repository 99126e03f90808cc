//! Attribution of memcgs: container and pod, from the cgroup path and the node, and systemd unit.
//!
//! Pure: files and sockets are read by [`crate::source::names`], and arrive here as [`Facts`].
//!
//! Invariant: an unproven fact stays `None`. A wrong pod name is worse than none.

/// As in the JSON output.
macro_rules! display_as_serialized {
    ($($type:ty),+) => {
        $(impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(f)
            }
        })+
    };
}

mod cgroup_name;
mod container;
mod facts;
mod family;
mod learn;
mod lxc;
mod names;
mod owner;
mod path;
mod question;
mod runtime;
mod runtime_path;
mod unit;
mod workload;

pub use container::{Container, Source, short_id};
pub use facts::{Fact, FactSource, Facts};
pub use family::unit_family;
pub use names::{Names, NamesMissing};
pub use owner::{ByOwner, Owner};
pub use path::container_of_path;
pub use question::Question;
pub use runtime::{Driver, Qos, Role, Runtime};
pub use unit::{Unit, unit_of_path};
pub use workload::{Part, Workload, WorkloadKind, WorkloadName, owner_of_pod};
