//! A task allocates memory and is moved to another cgroup; its memory is not.
//!
//! Pages stay charged to the memcg in which they were allocated (v2 never moves charges, v1 not by default): a daemon that
//! a container started and that was moved out keeps the container's memcg until it ends. Before 6.1 its kernel stack and
//! page tables do so as well. Since 7.2 pages move to the parent when a memcg goes offline, and nothing is pinned.

use std::hint::black_box;

use super::{Scenario, taken_along::TakenAlong};

const BYTES: usize = 256 << 10;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the task", || Ok(black_box(vec![1_u8; BYTES])))
}
