//! The value of an array map, mapped into our memory (`BPF_F_MMAPABLE`, 5.5).

use std::{ffi::c_void, num::NonZeroUsize, os::fd::AsFd as _, ptr::NonNull};

use aya::{Ebpf, Pod, maps::Map};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use thiserror::Error;

/// The only value of an array map. The map itself does not have to stay open.
pub struct Mapped<T: Pod>(NonNull<T>);

/// The reason why a value cannot be mapped.
#[derive(Debug, Error)]
pub enum MappedError {
    #[error("the eBPF object has no {0}")]
    Absent(&'static str),
    #[error("cannot map the memory of {name}: {error}")]
    Mapping { name: &'static str, error: nix::Error },
}

impl<T: Pod> Mapped<T> {
    /// The value of the array `name`.
    pub fn of(ebpf: &Ebpf, name: &'static str) -> Result<Self, MappedError> {
        let Some(Map::Array(map)) = ebpf.map(name) else { return Err(MappedError::Absent(name)) };
        let mapping = |error| MappedError::Mapping { name, error };
        let length = NonZeroUsize::new(size_of::<T>()).ok_or_else(|| mapping(nix::Error::EINVAL))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address chosen by the kernel.
        let address = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        Ok(Self(address.map_err(mapping)?.cast()))
    }

    /// The current value. Callers make sure that no program writes to it meanwhile.
    pub fn get(&mut self) -> &T {
        // SAFETY: mapped for as long as we are, at the start of a page; `Pod` says that any bytes are a value.
        unsafe { self.0.as_ref() }
    }

    /// The same, to write to. Callers make sure that no program reads it meanwhile.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: as above, and writable; nobody else has this mapping.
        unsafe { self.0.as_mut() }
    }
}

impl<T: Pod> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `of` made; no reference outlives us.
        let _ = unsafe { munmap(self.0.cast::<c_void>(), size_of::<T>()) };
    }
}
