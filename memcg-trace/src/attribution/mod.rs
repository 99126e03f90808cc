//! From a cgroup path to its container.
//!
//! Invariant: a fact that the path does not prove stays `None`. A wrong pod name costs more than none.

mod container;
mod path;

pub use container::{Container, Driver, Qos, Runtime, Source};
pub use path::container_of_path;
