//! Slab caches as the kernel lists them, and those that belong to memcgs.

pub mod listing;
pub mod memcg_caches;
