//! The third witness: what refers to the memcgs, read from kernel memory.

use anyhow::Result;

use crate::{cause::Pinned, event::Key, source::MemcgPins};

/// Says what pins memcgs. Tests have other implementations than the kernel's.
pub trait Explainer {
    /// Those that were freed meanwhile are missing.
    fn explain(&mut self, dying: &[Key]) -> Result<Vec<(Key, Pinned)>>;
}

impl Explainer for MemcgPins {
    fn explain(&mut self, dying: &[Key]) -> Result<Vec<(Key, Pinned)>> {
        Ok(self.look(dying)?.of)
    }
}
