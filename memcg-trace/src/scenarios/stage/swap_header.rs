//! The first page of a swap device: `union swap_header` (include/linux/swap.h), as mkswap(8) writes it. Its volume name and
//! UUID, which the kernel ignores, say that it is ours, and which process made it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
    process,
};

use crate::kernel::page_bytes;

const VERSION_AT: usize = 1024;
const LAST_PAGE_AT: usize = VERSION_AT + 4;
const UUID_AT: usize = LAST_PAGE_AT + 8;
const VOLUME_AT: usize = UUID_AT + 16;
const VOLUME: &[u8; 16] = b"memcg-trace\0\0\0\0\0";
const MAGIC: &[u8] = b"SWAPSPACE2";

/// Writes it to a device of this size.
pub fn write(device: &Path, bytes: u64) -> io::Result<()> {
    let mut device = File::options().write(true).open(device)?;
    device.write_all(&header(bytes, page_bytes(), process::id()))?;
    device.sync_all()
}

/// The process that made the swap on this device; `None`: it is not ours.
pub fn owner(device: &Path) -> Option<u32> {
    let mut page = vec![0; page_bytes()];
    File::open(device).and_then(|mut device| device.read_exact(&mut page)).ok()?;
    owner_by(&page)
}

fn header(bytes: u64, page_bytes: usize, pid: u32) -> Vec<u8> {
    let last_page = (bytes / page_bytes as u64 - 1) as u32;
    let mut page = vec![0; page_bytes];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(VERSION_AT, &1_u32.to_ne_bytes());
    put(LAST_PAGE_AT, &last_page.to_ne_bytes());
    put(UUID_AT, &pid.to_ne_bytes());
    put(VOLUME_AT, VOLUME);
    put(page_bytes - MAGIC.len(), MAGIC);
    page
}

fn owner_by(page: &[u8]) -> Option<u32> {
    let ours = page.ends_with(MAGIC) && page.get(VOLUME_AT..)?.starts_with(VOLUME);
    let pid = page.get(UUID_AT..UUID_AT + 4)?.try_into().ok()?;
    ours.then(|| u32::from_ne_bytes(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_its_owner() {
        let ours = header(64 << 20, 4096, 4711);
        assert_eq!(owner_by(&ours), Some(4711));
        let mut anothers = ours.clone();
        anothers[VOLUME_AT..VOLUME_AT + 4].copy_from_slice(b"swap");
        for page in [&anothers[..], &ours[..4000], &[0; 4096], &[]] {
            assert_eq!(owner_by(page), None);
        }
    }
}
