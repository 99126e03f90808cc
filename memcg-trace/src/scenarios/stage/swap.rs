//! A swap device, in memory.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};

use super::{disk, zram::Zram};
use crate::kernel::page_bytes;

// include/linux/swap.h
const SWAP_FLAG_PREFER: libc::c_int = 0x8000;
const HIGHEST_PRIORITY: libc::c_int = 0x7fff;

/// A device with swap on it. Other swap stays as it is: ours has the highest priority while it exists.
#[derive(Debug)]
pub struct StageSwap {
    path: PathBuf,
    on: bool,
    /// Dropped after `drop` has switched swap off.
    _backing: SwapBacking,
}

#[derive(Debug)]
enum SwapBacking {
    Zram {
        _removed_with: Zram,
    },
    /// A loop device, which is freed with its last user.
    Loop {
        _open: File,
    },
}

impl StageSwap {
    /// On zram, or where no such device can be made (in a container, /sys is read-only) on a file in `directory`, a tmpfs.
    pub fn new(directory: &Path, bytes: u64) -> Result<Self> {
        let (path, backing) = match Zram::new(bytes) {
            Ok(zram) => (zram.device(), SwapBacking::Zram { _removed_with: zram }),
            Err(zram) => {
                let on_loop = loop_device(directory, bytes);
                let (path, open) =
                    on_loop.with_context(|| format!("no zram device: {zram:#}; nor a loop device"))?;
                (path, SwapBacking::Loop { _open: open })
            }
        };
        write_header(&path, bytes).with_context(|| format!("cannot write to {}", path.display()))?;
        let name = CString::new(path.as_os_str().as_encoded_bytes())?;
        // SAFETY: a C string.
        let on = unsafe { libc::swapon(name.as_ptr(), SWAP_FLAG_PREFER | HIGHEST_PRIORITY) };
        Errno::result(on).with_context(|| format!("cannot swapon {}", path.display()))?;
        Ok(Self { path, on: true, _backing: backing })
    }

    /// Swaps everything in. Until then, some kernels keep the swap slots that a task freed (swap_slots_cache).
    pub fn off(&mut self) -> Result<()> {
        let name = CString::new(self.path.as_os_str().as_encoded_bytes())?;
        while self.on {
            // SAFETY: a C string.
            match Errno::result(unsafe { libc::swapoff(name.as_ptr()) }) {
                // A signal: handled once we have cleaned up.
                Err(Errno::EINTR) => {}
                off => {
                    off.with_context(|| format!("cannot swapoff {}", self.path.display()))?;
                    self.on = false;
                }
            }
        }
        Ok(())
    }
}

impl Drop for StageSwap {
    fn drop(&mut self) {
        if let Err(error) = self.off() {
            log::error!("{error:#}");
        }
    }
}

/// Of a file that has no name any more. Its pages exist before a victim's are written to them, which is charged for none.
fn loop_device(directory: &Path, bytes: u64) -> Result<(PathBuf, File)> {
    let image = directory.join("swap.img");
    let file = File::options().read(true).write(true).create_new(true).open(&image);
    let file = file.with_context(|| format!("cannot create {}", image.display()))?;
    fs::remove_file(&image).with_context(|| format!("cannot remove {}", image.display()))?;
    fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(bytes)?)
        .with_context(|| format!("cannot create a file of {bytes} bytes in memory"))?;
    disk::attach(&file)
}

/// Like mkswap, writes `union swap_header` (include/linux/swap.h), the first page of the device.
fn write_header(device: &Path, bytes: u64) -> io::Result<()> {
    const VERSION_AT: usize = 1024;
    const MAGIC: &[u8] = b"SWAPSPACE2";
    let page_bytes = page_bytes();
    let last_page = (bytes / page_bytes as u64 - 1) as u32;
    let mut page = vec![0; page_bytes];
    page[VERSION_AT..VERSION_AT + 4].copy_from_slice(&1_u32.to_ne_bytes());
    page[VERSION_AT + 4..VERSION_AT + 8].copy_from_slice(&last_page.to_ne_bytes());
    page[page_bytes - MAGIC.len()..].copy_from_slice(MAGIC);
    let mut device = File::options().write(true).open(device)?;
    device.seek(SeekFrom::Start(0))?;
    device.write_all(&page)?;
    device.sync_all()
}
