//! Why there is no live stream.

use std::io;

use aya::maps::{MapError, perf::PerfBufferError};
use thiserror::Error;

use crate::{
    kernel::{ability::Lack, hooks::attach::AttachError, refused::Restrictions},
    record::Backend,
};

/// What to do if maps or programs cannot be loaded, and the errno does not say why.
const LOAD: &str =
    "raise the limit of locked memory (ulimit -l unlimited); in a container, let it call bpf(2)";

/// Why there is no live stream.
#[derive(Debug, Error)]
pub enum LiveError {
    #[error("cannot load the eBPF hooks: {error}; {next}")]
    Load { error: Box<aya::EbpfError>, next: String },
    #[error("cannot set up the map {map}: {error}")]
    Map { map: &'static str, error: MapError },
    #[error("cannot open a perf buffer of {pages} pages on CPU {cpu}: {error}; {next}")]
    Buffer { pages: usize, cpu: u32, error: PerfBufferError, next: String },
    #[error("cannot list the CPUs that are online ({path}): {error}; {next}")]
    Cpus { path: &'static str, error: io::Error, next: String },
    #[error("the {backend} backend does not work here: {error}")]
    Backend { backend: Backend, error: AttachError },
}

impl Lack for LiveError {
    fn next_step(&self) -> String {
        match self {
            Self::Load { next, .. } | Self::Buffer { next, .. } | Self::Cpus { next, .. } => next.clone(),
            Self::Map { .. } => LOAD.to_owned(),
            Self::Backend { error, .. } => error.next_step(),
        }
    }
}

impl From<aya::EbpfError> for LiveError {
    fn from(error: aya::EbpfError) -> Self {
        let next = Restrictions::read().next_step(&error).unwrap_or_else(|| LOAD.to_owned());
        Self::Load { error: error.into(), next }
    }
}

impl LiveError {
    pub(super) fn no_cpus((path, error): (&'static str, io::Error)) -> Self {
        let next = Restrictions::read().next_step(&error);
        Self::Cpus {
            path,
            error,
            next: next.unwrap_or_else(|| format!("mount /sys, and see who may read {path}")),
        }
    }

    pub(super) fn no_buffer(pages: usize, cpu: u32, error: PerfBufferError) -> Self {
        let next = Restrictions::read().next_step(&error);
        Self::Buffer {
            pages,
            cpu,
            error,
            next: next.unwrap_or_else(|| "try a smaller --perf-pages".to_owned()),
        }
    }

    /// The buffer exceeds what this user may lock in memory: `perf_mmap` (kernel/events/core.c) fails with EPERM.
    pub(super) fn is_mlock_limit(&self) -> bool {
        match self {
            Self::Buffer { error: PerfBufferError::MMapError { io_error }, .. } => {
                io_error.raw_os_error() == Some(libc::EPERM)
            }
            _ => false,
        }
    }

    /// The object has no such map.
    pub(super) fn no_map(map: &'static str) -> Self {
        Self::Map { map, error: MapError::InvalidName { name: map.to_owned() } }
    }
}
