//! Memory of a task, mapped for as long as it lives.

pub const WRITABLE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// New memory, or a file, if `fd` is one.
pub fn map(bytes: usize, flags: i32, protection: i32, fd: i32) -> *mut u8 {
    // SAFETY: the kernel picks an address.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, fd, 0) };
    assert_ne!(address, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    address.cast()
}

/// The same, with something in each page.
pub fn filled(bytes: usize, flags: i32, fd: i32) -> *mut u8 {
    let address = map(bytes, flags, WRITABLE, fd);
    // SAFETY: it is that long, and writable.
    unsafe { libc::memset(address.cast(), 1, bytes) };
    address
}
