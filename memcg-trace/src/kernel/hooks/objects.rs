//! The eBPF objects, embedded by the build.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    thread,
};

use aya::{Ebpf, EbpfError, EbpfLoader, include_bytes_aligned, maps::MapError, programs::ProgramError};
use thiserror::Error;

use crate::kernel::seccomp;

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

/// One for all objects. A new loader of aya always parses the kernel's BTF, which takes 20 MB of memory, though the objects have
/// nothing to relocate; it goes without if it cannot open the file.
static LOADER: LazyLock<Mutex<EbpfLoader<'static>>> = LazyLock::new(|| {
    let blind = thread::Builder::new().spawn(|| {
        if let Err(error) = seccomp::forbid_opening() {
            log::debug!("aya parses the kernel's BTF in vain: {error}");
        }
        EbpfLoader::new()
    });
    let mut loader = blind.ok().and_then(|blind| blind.join().ok()).unwrap_or_default();
    loader.btf(None);
    Mutex::new(loader)
});

/// Creates the maps of an object, with `max_entries` of those that are named, and prepares its programs.
pub fn load(object: &[u8], max_entries: &[(&'static str, u32)]) -> Result<Ebpf, EbpfError> {
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    for &(map, entries) in max_entries {
        loader.map_max_entries(map, entries);
    }
    loader.load(object)
}

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
