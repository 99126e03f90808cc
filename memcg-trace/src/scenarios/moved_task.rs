//! A task allocates memory and is moved to another cgroup; its memory is not.
//!
//! Pages stay charged to the memcg in which they were allocated (v2 never moves charges, v1 not by default): a daemon
//! that was started by a container and moved out pins the container's memcg until it exits. Before 6.1 its kernel stack
//! and page tables do so as well. Clean since 7.1 (see pages.rs).

use std::hint::black_box;

use super::{Scenario, taken_along::TakenAlong};
use crate::cause::Pin;

const BYTES: usize = 256 << 10;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the task", &[Pin::Anon], || Ok(black_box(vec![1_u8; BYTES])))
}
