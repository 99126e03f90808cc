//! A swap device on zram.

use std::{
    ffi::CString,
    fs,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::disk::modprobe;
use crate::kernel::page_bytes;

const CONTROL: &str = "/sys/class/zram-control";

// include/linux/swap.h
const SWAP_FLAG_PREFER: libc::c_int = 0x8000;
const HIGHEST_PRIORITY: libc::c_int = 0x7fff;

/// A zram device with swap on it. Other swap stays as it is: ours has the highest priority while it exists.
#[derive(Debug)]
pub struct StageSwap {
    number: u32,
    on: bool,
}

impl StageSwap {
    pub fn on_zram(bytes: u64) -> Result<Self> {
        modprobe("zram");
        let number = fs::read_to_string(format!("{CONTROL}/hot_add"));
        let number = number.with_context(|| format!("no zram device: cannot read {CONTROL}/hot_add"))?;
        let number = number.trim().parse().with_context(|| format!("hot_add says \"{}\"", number.trim()))?;
        let mut swap = Self { number, on: false };
        let size = swap.attribute("disksize");
        fs::write(&size, bytes.to_string()).with_context(|| format!("cannot write to {}", size.display()))?;
        let device = swap.device();
        write_header(&device, bytes).with_context(|| format!("cannot write to {}", device.display()))?;
        let path = swap.device_name()?;
        // SAFETY: a C string.
        let on = unsafe { libc::swapon(path.as_ptr(), SWAP_FLAG_PREFER | HIGHEST_PRIORITY) };
        Errno::result(on).with_context(|| format!("cannot swapon {}", device.display()))?;
        swap.on = true;
        Ok(swap)
    }

    /// Swaps everything in. Until then, some kernels keep the swap slots that a task freed (swap_slots_cache).
    pub fn off(&mut self) -> Result<()> {
        let path = self.device_name()?;
        while self.on {
            // SAFETY: a C string.
            match Errno::result(unsafe { libc::swapoff(path.as_ptr()) }) {
                // A signal: handled once we have cleaned up.
                Err(Errno::EINTR) => {}
                off => {
                    off.with_context(|| format!("cannot swapoff {}", self.device().display()))?;
                    self.on = false;
                }
            }
        }
        Ok(())
    }

    fn device(&self) -> PathBuf {
        PathBuf::from(format!("/dev/zram{}", self.number))
    }

    fn device_name(&self) -> Result<CString> {
        Ok(CString::new(self.device().into_os_string().into_encoded_bytes())?)
    }

    fn attribute(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/sys/block/zram{}/{name}", self.number))
    }
}

impl Drop for StageSwap {
    fn drop(&mut self) {
        let gone = self.off().and_then(|()| {
            fs::write(self.attribute("reset"), "1")?;
            Ok(fs::write(format!("{CONTROL}/hot_remove"), self.number.to_string())?)
        });
        if let Err(error) = gone {
            log::error!("cannot remove the zram device {}: {error:#}", self.number);
        }
    }
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
    let mut device = fs::File::options().write(true).open(device)?;
    device.seek(SeekFrom::Start(0))?;
    device.write_all(&page)?;
    device.sync_all()
}
