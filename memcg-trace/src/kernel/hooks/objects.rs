//! The eBPF objects, embedded by the build.

use aya::{EbpfError, include_bytes_aligned, maps::MapError, programs::ProgramError};
use thiserror::Error;

/// The hooks, without log lines: loads wherever eBPF does.
pub static HOOKS: &[u8] = include_bytes_aligned!(env!("MEMCG_TRACE_HOOKS"));
/// The same hooks with log lines (`RUST_LOG=debug`); needs ring buffers (5.8).
pub static HOOKS_LOG: &[u8] = include_bytes_aligned!(env!("MEMCG_TRACE_HOOKS_LOG"));
/// Programs that run on demand; needs bounded loops (5.3).
pub static WALK: &[u8] = include_bytes_aligned!(env!("MEMCG_TRACE_WALK"));
/// Programs that read kernel memory in bulk; needs bounded loops (5.3), mappable arrays (5.5).
pub static PINS: &[u8] = include_bytes_aligned!(env!("MEMCG_TRACE_PINS"));
/// The hooks on slab caches: loads wherever eBPF does.
pub static SLAB: &[u8] = include_bytes_aligned!(env!("MEMCG_TRACE_SLAB"));

/// The reason why a program could not be run on demand.
#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Load(#[from] EbpfError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("the eBPF object has no {0}")]
    Absent(&'static str),
    #[error("{0:#x} is not readable")]
    Unreadable(u64),
}
