//! A task has memory in a huge page and is moved to another cgroup.
//!
//! Since 5.9 a huge page pins by one reference for its 512 pages, so a memcg with few references may keep much memory.
//! Clean since 7.1 (see pages.rs).

use std::{fs, io};

use anyhow::{Context as _, ensure};
use nix::sys::mman::{MmapAdvise, madvise};

use super::{Scenario, pages::AnonMapping, taken_along::TakenAlong};
use crate::cause::Pin;

const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const SIZE: &str = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
/// Where the kernel does not say: x86-64 before 4.10, which has no [`SIZE`].
const SIZE_BEFORE: usize = 2 << 20;
/// All of them are in memory at once; where pages have 64 KiB (arm64), a huge one has 512 MiB.
const CGROUPS_MAX: u64 = 16;
const SIZE_MAX: usize = 32 << 20;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the task", &[Pin::Anon], huge_page).at_most(CGROUPS_MAX).if_possible(|| {
        let enabled = fs::read_to_string(ENABLED).with_context(|| format!("cannot read {ENABLED}"))?;
        ensure!(!enabled.contains("[never]"), "transparent huge pages are off: {ENABLED}");
        let size = size();
        ensure!(size <= SIZE_MAX, "huge pages are too large to make {CGROUPS_MAX} of them: {size} bytes");
        Ok(())
    })
}

/// Bytes of a huge page.
fn size() -> usize {
    let size = fs::read_to_string(SIZE).ok();
    size.and_then(|size| size.trim().parse().ok()).unwrap_or(SIZE_BEFORE)
}

/// A mapping in which there is a huge page, whatever its alignment.
fn huge_page() -> io::Result<AnonMapping> {
    let size = size();
    let memory = AnonMapping::new(2 * size)?;
    let start = memory.start();
    let offset = start.addr().get().next_multiple_of(size) - start.addr().get();
    // SAFETY: less than `size`, so within the mapping.
    let aligned = unsafe { start.byte_add(offset) };
    // SAFETY: `size` bytes from there are within the mapping.
    unsafe { madvise(aligned, size, MmapAdvise::MADV_HUGEPAGE) }?;
    // SAFETY: the same.
    unsafe { aligned.cast::<u8>().write_volatile(b'm') };
    let maps = fs::read_to_string("/proc/self/smaps")?;
    let is_huge = |line: &str| line.starts_with("AnonHugePages:") && !line.ends_with(" 0 kB");
    match maps.lines().any(is_huge) {
        true => Ok(memory),
        false => Err(io::Error::other("the kernel gave no huge page; is its memory fragmented?")),
    }
}
