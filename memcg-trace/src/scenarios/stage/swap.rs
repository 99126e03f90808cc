//! A swap device, in memory.

use std::{
    ffi::CString,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};

use super::{disk, is_running, swap_header, zram::Zram};
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
        swap_header::write(&path, bytes).with_context(|| format!("cannot write to {}", path.display()))?;
        let name = CString::new(path.as_os_str().as_encoded_bytes())?;
        // SAFETY: a C string.
        let on = unsafe { libc::swapon(name.as_ptr(), SWAP_FLAG_PREFER | HIGHEST_PRIORITY) };
        Errno::result(on).with_context(|| format!("cannot swapon {}", path.display()))?;
        Ok(Self { path, on: true, _backing: backing })
    }

    /// Removes the swap of runs that were killed, whose headers have their pids. Nothing else names a device as ours.
    pub fn remove_leftovers() {
        let left = |device: &Path| swap_header::owner(device).is_some_and(|pid| !is_running(pid));
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        let swapping: Vec<PathBuf> = swaps.lines().filter_map(device).collect();
        // Its maker may have been killed before it was switched on.
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let path = Path::new("/dev").join(entry.file_name());
            if path.to_string_lossy().starts_with("/dev/zram")
                && left(&path)
                && let Some(zram) = entry.file_name().to_str().and_then(Zram::adopt)
            {
                let on = swapping.contains(&path);
                drop(Self { path, on, _backing: SwapBacking::Zram { _removed_with: zram } });
            }
        }
        for path in swapping.into_iter().filter(|path| left(path)) {
            // A loop device, which is freed with its last user.
            let Ok(open) = File::open(&path) else { continue };
            drop(Self { path, on: true, _backing: SwapBacking::Loop { _open: open } });
        }
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

/// The device of a line of /proc/swaps. Its path is that of the mount namespace of who switched it on, and `/zram1` once that is
/// gone with its `/dev`.
fn device(line: &str) -> Option<PathBuf> {
    Some(Path::new("/dev").join(Path::new(line.split(' ').next()?).file_name()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_whatever_its_path_was() {
        for line in ["/dev/zram1   partition 16380 0 32767", "/zram1   partition 16380 0 32767"] {
            assert_eq!(device(line).as_deref(), Some(Path::new("/dev/zram1")));
        }
    }
}
