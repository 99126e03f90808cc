//! A BTF file in any of its forms, and the layouts that are made of it.

use std::{
    fs::File,
    io::Write as _,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use memcg_trace::kernel::layout;
use nix::sys::memfd::{MFdFlags, memfd_create};

pub fn run(input: &[u8]) -> bool {
    let Some((_file, path)) = file(input) else { return false };
    let _ = layout::resolve_slab(Some(&path));
    layout::resolve(Some(&path)).is_ok()
}

/// A file in memory, which goes with its descriptor, and its path.
pub fn file(content: &[u8]) -> Option<(File, PathBuf)> {
    let mut file = File::from(memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC).ok()?);
    file.write_all(content).ok()?;
    let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
    Some((file, path))
}
