//! Where records come from: the running kernel, and the node.

pub mod live;
mod memcg_caches;
mod mkdir_paths;
pub mod names;
pub mod slab;
mod stream;
mod take_walk;

pub use memcg_caches::Caches;
pub use stream::{Feed, Polled, Stream, Wanted};
pub use take_walk::take_walk;
