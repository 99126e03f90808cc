//! A task has memory in a huge page and is moved to another cgroup.
//!
//! Since 5.9 a huge page pins by one reference for its 512 pages, so a memcg with few references may keep much memory.
//! Clean since 7.1 (see pages.rs).

use std::{fs, io};

use anyhow::{Context as _, ensure};
use nix::sys::mman::{MmapAdvise, madvise};

use super::{Scenario, pages::AnonMapping, taken_along::TakenAlong};
use crate::cause::Pin;

/// Of a huge page, x86-64.
const HUGE: usize = 2 << 20;
const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// All of them are in memory at once.
const CGROUPS_MAX: u64 = 16;

pub fn scenario() -> impl Scenario {
    TakenAlong::new("the task", &[Pin::Anon], huge_page).at_most(CGROUPS_MAX).if_possible(|| {
        let enabled = fs::read_to_string(ENABLED).with_context(|| format!("cannot read {ENABLED}"))?;
        ensure!(!enabled.contains("[never]"), "transparent huge pages are off: {ENABLED}");
        Ok(())
    })
}

/// A mapping in which there is a huge page, whatever its alignment.
fn huge_page() -> io::Result<AnonMapping> {
    let memory = AnonMapping::new(2 * HUGE)?;
    let start = memory.start();
    let offset = start.addr().get().next_multiple_of(HUGE) - start.addr().get();
    // SAFETY: less than HUGE, so within the mapping.
    let aligned = unsafe { start.byte_add(offset) };
    // SAFETY: HUGE bytes from there are within the mapping.
    unsafe { madvise(aligned, HUGE, MmapAdvise::MADV_HUGEPAGE) }?;
    // SAFETY: the same.
    unsafe { aligned.cast::<u8>().write_volatile(b'm') };
    let maps = fs::read_to_string("/proc/self/smaps")?;
    let is_huge = |line: &str| line.starts_with("AnonHugePages:") && !line.ends_with(" 0 kB");
    match maps.lines().any(is_huge) {
        true => Ok(memory),
        false => Err(io::Error::other("the kernel gave no huge page; is its memory fragmented?")),
    }
}
