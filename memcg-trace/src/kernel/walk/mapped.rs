//! The value of an array map, mapped into our memory (`BPF_F_MMAPABLE`, 5.5).

use std::{ffi::c_void, num::NonZeroUsize, os::fd::AsFd, ptr::NonNull};

use aya::Pod;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The only value of an array map. The map itself does not have to stay open.
pub struct Mapped<T: Pod>(NonNull<T>);

impl<T: Pod> Mapped<T> {
    pub fn new(map: impl AsFd) -> nix::Result<Self> {
        let length = NonZeroUsize::new(size_of::<T>()).ok_or(nix::Error::EINVAL)?;
        // SAFETY: a new mapping, at an address chosen by the kernel.
        let address = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self(address.cast()))
    }

    /// The current value. Callers make sure that no program writes to it meanwhile.
    pub fn get(&mut self) -> &T {
        // SAFETY: mapped for as long as we are, at the start of a page; `Pod` says that any bytes are a value.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Pod> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; no reference outlives us.
        let _ = unsafe { munmap(self.0.cast::<c_void>(), size_of::<T>()) };
    }
}
