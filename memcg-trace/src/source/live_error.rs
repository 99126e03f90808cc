//! Why there is no live stream.

use std::io;

use aya::maps::{MapError, perf::PerfBufferError};
use thiserror::Error;

use crate::{
    kernel::{ability::Lack, hooks::attach::AttachError},
    record::Backend,
};

/// Why there is no live stream.
#[derive(Debug, Error)]
pub enum LiveError {
    #[error("cannot load the eBPF hooks: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("cannot set up the map {map}: {error}")]
    Map { map: &'static str, error: MapError },
    #[error("cannot open a perf buffer of {pages} pages on CPU {cpu}: {error}; try a smaller --perf-pages")]
    Buffer { pages: usize, cpu: u32, error: PerfBufferError },
    #[error("cannot list the CPUs that are online ({path}): {error}")]
    Cpus { path: &'static str, error: io::Error },
    #[error("the {backend} backend does not work here: {error}")]
    Backend { backend: Backend, error: AttachError },
}

impl Lack for LiveError {
    fn next_step(&self) -> String {
        match self {
            Self::Load(_) | Self::Map { .. } => {
                "raise the limit of locked memory (ulimit -l unlimited); in a container, let it call bpf(2)"
                    .to_owned()
            }
            Self::Buffer { .. } => "try a smaller --perf-pages".to_owned(),
            Self::Cpus { path, .. } => format!("mount /sys, and see who may read {path}"),
            Self::Backend { error, .. } => error.next_step(),
        }
    }
}

impl LiveError {
    /// The object has no such map.
    pub(super) fn no_map(map: &'static str) -> Self {
        Self::Map { map, error: MapError::InvalidName { name: map.to_owned() } }
    }
}
