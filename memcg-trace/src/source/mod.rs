//! Sources of records: the running kernel, and the node.

mod buffer_size;
mod live;
mod live_error;
mod loading;
mod memcg_caches;
mod memcg_pins;
mod mkdir_paths;
pub mod names;
mod online_cpus;
mod perf_buffers;
pub mod slab;
mod slab_callers;
mod stream;
mod take_walk;
mod tap;
mod trial;

pub use buffer_size::BufferSize;
pub use live::Live;
pub use live_error::LiveError;
pub use loading::Options;
pub use memcg_caches::Caches;
pub use memcg_pins::MemcgPins;
pub use stream::{Feed, Stream, Wanted};
use take_walk::take_counted_walk;
pub use take_walk::take_walk;
pub use tap::Polled;
pub use trial::Trial;
