//! The kernel hooks: plans, attachment, and missed firings.

pub mod attach;
pub mod css_callbacks;
pub mod kprobe_events;
pub mod missed_firings;
pub mod objects;
pub mod perf_wakeups;
pub mod plan;
pub mod slab_attach;
pub mod slab_plan;
pub mod traceable;
pub mod unpreempted;
