//! Slab caches as the kernel lists them, and the slab caches of memcgs.

pub mod listing;
pub mod memcg_caches;
