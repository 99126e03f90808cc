//! Files and their pages, shared by several scenarios.
//!
//! Pages pin memcgs up to 7.0: each page on an LRU list holds a reference to the memcg that it is charged to. Since 7.1
//! they are reparented when the memcg goes offline, and pin nothing (01b9da291c49, from "Eliminate Dying Memory Cgroup",
//! lore.kernel.org/r/cover.1770279888.git.zhengqi.arch@bytedance.com). Confirmed on booted kernels of Debian: on 7.0.13
//! tmpfs, moved-task, nested and controller-toggle leak, on 7.1.13 they are clean. All other mentions of 7.1 refer to
//! this; users find it as `lru-pins` in diagnosis/known_bugs.json.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    num::NonZeroUsize,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    ptr::{self, NonNull},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
};

use super::stage::open_again;
use crate::kernel::page_bytes;

/// Size of each file: 16 pages of 4 KiB, one of 64 KiB (arm64).
pub const FILE_BYTES: usize = 64 << 10;

/// Writes a new file of [`FILE_BYTES`].
pub fn write_file(path: &Path) -> io::Result<()> {
    File::create_new(path)?.write_all(&[b'm'; FILE_BYTES])
}

/// Writes [`FILE_BYTES`] to a file that our parent has open.
pub fn fill_open_file(file: &impl AsRawFd) -> io::Result<()> {
    open_again(file.as_raw_fd())?.write_all(&[b'm'; FILE_BYTES])
}

/// Reads a file to its end.
pub fn read_file(path: &Path) -> io::Result<()> {
    File::open(path)?.read_exact(&mut [0; FILE_BYTES])
}

/// Creates a file of [`FILE_BYTES`] that is on the disk and not in the page cache: its first reader is charged.
pub fn write_uncached_file(path: &Path) -> Result<()> {
    let context = || format!("cannot create {}", path.display());
    write_file(path).with_context(context)?;
    let file = File::open(path).with_context(context)?;
    file.sync_all().with_context(context)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).with_context(context)?;
    let cached = Mapping::of(path)?.cached_pages()?;
    ensure!(cached == 0, "{} stays in the page cache ({cached} pages)", path.display());
    Ok(())
}

/// Removes files and empties the list.
pub fn remove_files(files: &mut Vec<PathBuf>) -> Result<()> {
    for file in files.drain(..) {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

/// A file of [`FILE_BYTES`], mapped read-only.
#[derive(Debug)]
pub struct Mapping(NonNull<libc::c_void>);

impl Mapping {
    pub fn of(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let length = NonZeroUsize::new(FILE_BYTES).context("a file has pages")?;
        // SAFETY: the kernel chooses the address.
        let at = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) };
        Ok(Self(at.with_context(|| format!("cannot map {}", path.display()))?))
    }

    /// Faults in every page.
    pub fn touch(&self) {
        for page in (0..FILE_BYTES).step_by(page_bytes()) {
            // SAFETY: within the mapping, whose file keeps its length.
            unsafe { ptr::read_volatile(self.0.as_ptr().cast::<u8>().add(page)) };
        }
    }

    fn cached_pages(&self) -> Result<usize> {
        let mut pages = vec![0_u8; FILE_BYTES.div_ceil(page_bytes())];
        // SAFETY: the mapping, and a byte for each of its pages.
        let known = unsafe { libc::mincore(self.0.as_ptr(), FILE_BYTES, pages.as_mut_ptr()) };
        nix::errno::Errno::result(known).context("cannot query resident pages (mincore)")?;
        Ok(pages.iter().filter(|page| **page & 1 == 1).count())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing refers into the mapping.
        if let Err(error) = unsafe { munmap(self.0, FILE_BYTES) } {
            log::error!("cannot unmap: {error}");
        }
    }
}

/// Private anonymous memory. It goes with the task that has it.
#[derive(Debug)]
pub struct AnonMapping {
    start: NonNull<libc::c_void>,
    bytes: NonZeroUsize,
}

impl AnonMapping {
    pub fn new(bytes: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel chooses the address.
        let start = unsafe {
            mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
        };
        Ok(Self { start: start?, bytes })
    }

    pub fn start(&self) -> NonNull<libc::c_void> {
        self.start
    }

    /// Writes every page.
    pub fn fill(&self) {
        // SAFETY: the mapping, which is writable.
        unsafe { self.start.cast::<u8>().write_bytes(b'm', self.bytes.get()) };
    }
}
