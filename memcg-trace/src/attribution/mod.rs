//! What a memcg belongs to: the container and pod, by the cgroup path and by what the node told, and the systemd unit.
//!
//! Pure: files and sockets are read by [`crate::source::names`], and arrive here as [`Facts`].
//!
//! Invariant: a fact that nothing proves stays `None`. A wrong pod name costs more than none.

mod container;
mod facts;
mod names;
mod path;
mod question;
mod unit;
mod workload;

pub use container::{Container, Driver, Qos, Role, Runtime, Source};
pub use facts::{Fact, FactSource, Facts};
pub use names::{Names, NamesMissing};
pub use path::container_of_path;
pub use question::Question;
pub use unit::{Unit, unit_of_path};
pub use workload::{Part, Workload, owner_of_pod, unit_family};
