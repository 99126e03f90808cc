//! A System V shared memory segment.

use std::{io, ptr};

use nix::errno::Errno;

/// A segment of our IPC namespace. Dropping it removes it.
#[derive(Debug)]
pub struct SharedSegment {
    id: i32,
    bytes: usize,
}

impl SharedSegment {
    /// One that no key names.
    pub fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: the call takes no pointer.
        let id = Errno::result(unsafe { libc::shmget(libc::IPC_PRIVATE, bytes, 0o600) })?;
        Ok(Self { id, bytes })
    }

    /// Attaches to it, writes all of it, and detaches.
    pub fn fill(&self) -> io::Result<()> {
        // SAFETY: the kernel chooses the address.
        let address = unsafe { libc::shmat(self.id, ptr::null(), 0) };
        // shmat(2): (void *) -1
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the segment is mapped there, writable, and `bytes` long.
        unsafe { ptr::write_bytes(address.cast::<u8>(), b'm', self.bytes) };
        // SAFETY: nothing refers into the segment.
        Errno::result(unsafe { libc::shmdt(address) })?;
        Ok(())
    }
}

impl Drop for SharedSegment {
    fn drop(&mut self) {
        // Somebody else may have removed it: tests run what `explain` prints.
        // SAFETY: IPC_RMID takes no pointer.
        if unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) } != 0 {
            log::debug!("cannot remove segment {}: {}", self.id, io::Error::last_os_error());
        }
    }
}
