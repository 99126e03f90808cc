//! The kernel's records of swap entries: which memcg's ID each of them holds, by device and place on it.
//!
//! Up to 6.12 they are in pages of their own (`swap_cgroup_ctrl`, mm/swap_cgroup.c), since 7.2 in an array for each cluster
//! of a device (mm/swap_table.h). In between they are in an array for each device, which is not read.

use std::ops::Range;

use foldhash::HashMap;
use memcg_trace_common::{ABSENT, READ_MAX, Request};

use super::devices::ListedSwap;
use crate::kernel::{
    memory::{Members, MemoryError, symbols::symbol},
    page_bytes,
    pins::pass::Pass,
};

/// `SWP_USED` (include/linux/swap.h)
const USED: u64 = 1;
/// Not even as many kinds of entries can be told apart (`MAX_SWAPFILES_SHIFT`).
const TYPES_MAX: usize = 32;
const WHAT: &str = "swap entries by device and owner";

/// Entries of memcgs that are looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// The place in /proc/swaps, by type (`swp_type`).
    devices: Vec<Option<usize>>,
    /// In order.
    runs: Vec<SwappedRun>,
}

/// Entries side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SwappedRun {
    device: usize,
    places: Range<u64>,
    memcg: usize,
}

/// A device as the kernel has it.
struct SwapInfo {
    /// `swp_type` of its entries.
    number: usize,
    max: u64,
    clusters: u64,
}

impl Records {
    /// Reads them; `memcgs`: the numbers of those that are looked at, by ID. `None`: this kernel does not tell where they are.
    pub fn read(
        pass: &mut Pass<'_>,
        listed: &[ListedSwap],
        memcgs: &HashMap<u16, usize>,
    ) -> Result<Option<Self>, MemoryError> {
        let Some(infos) = infos(pass, listed)? else { return Ok(None) };
        let mut records = Self { devices: vec![None; TYPES_MAX], runs: Vec::new() };
        for (device, info) in infos.iter().enumerate() {
            records.devices[info.number] = Some(device);
            let arrays = match pass.layout.swap.cluster.ids {
                ABSENT => by_page(pass, info)?,
                _ => by_cluster(pass, info)?,
            };
            let Some((arrays, each)) = arrays else { return Ok(None) };
            if !records.add(pass, device, &arrays, each, memcgs)? {
                return Ok(None);
            }
        }
        Ok(Some(records))
    }

    /// Takes arrays of IDs, of so many bytes each, which begin at these addresses; those at 0 have none. False: the time is up.
    fn add(
        &mut self,
        pass: &mut Pass<'_>,
        device: usize,
        arrays: &[u64],
        each: usize,
        memcgs: &HashMap<u16, usize>,
    ) -> Result<bool, MemoryError> {
        /// Arrays that are read at once.
        const SOME: usize = 256;
        let ids = (each / 2) as u64;
        for (first, some) in (0..).step_by(SOME).zip(arrays.chunks(SOME)) {
            let mut requests = Vec::new();
            let mut places = Vec::new();
            for (array, address) in some.iter().enumerate().filter(|(_, address)| **address != 0) {
                for at in (0..each).step_by(READ_MAX) {
                    let length = (each - at).min(READ_MAX) as u32;
                    requests.push(Request { address: address.wrapping_add(at as u64), length, string: 0 });
                    places.push((first + array) as u64 * ids + (at / 2) as u64);
                }
            }
            pass.memory.read(&requests, &mut |number, bytes| {
                let ids = bytes.unwrap_or_default().chunks_exact(2);
                for (place, id) in (places[number]..).zip(ids) {
                    let id = u16::from_ne_bytes([id[0], id[1]]);
                    if let Some(memcg) = (id != 0).then(|| memcgs.get(&id)).flatten() {
                        self.push(device, place, *memcg);
                    }
                }
            })?;
            if pass.is_late(WHAT) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push(&mut self, device: usize, place: u64, memcg: usize) {
        match self.runs.last_mut() {
            Some(run) if (run.device, run.places.end, run.memcg) == (device, place, memcg) => {
                run.places.end += 1;
            }
            _ => self.runs.push(SwappedRun { device, places: place..place + 1, memcg }),
        }
    }

    /// The memcg and the device of an entry, by the type of its device and its place there. `None`: none of those that are looked
    /// at.
    pub fn of(&self, number: u64, place: u64) -> Option<(usize, usize)> {
        let device = (*self.devices.get(usize::try_from(number).ok()?)?)?;
        let after = self.runs.partition_point(|run| (run.device, run.places.start) <= (device, place));
        let run = self.runs.get(after.checked_sub(1)?)?;
        (run.device == device && run.places.contains(&place)).then_some((run.memcg, device))
    }

    /// Entries of a memcg on a device.
    pub fn count(&self, memcg: usize, device: usize) -> u64 {
        let of = self.runs.iter().filter(|run| (run.memcg, run.device) == (memcg, device));
        of.map(|run| run.places.end - run.places.start).sum()
    }

    /// All of them.
    pub fn entries(&self) -> u64 {
        self.runs.iter().map(|run| run.places.end - run.places.start).sum()
    }
}

/// The devices of /proc/swaps, in its order. `None`: the kernel has others, or does not tell.
fn infos(pass: &mut Pass<'_>, listed: &[ListedSwap]) -> Result<Option<Vec<SwapInfo>>, MemoryError> {
    let layout = pass.layout.swap.info;
    let (Ok(infos), Ok(count)) = (symbol("swap_info"), symbol("nr_swapfiles")) else {
        pass.unread(WHAT, "the kernel does not tell where its records are (no CONFIG_KALLSYMS_ALL)");
        return Ok(None);
    };
    let count: u32 = pass.memory.rows(&[count], &Members::default().with(0, 4))?.get(0, 0).unwrap_or(0);
    let infos = pass.memory.array(infos, TYPES_MAX.min(count as usize))?;
    let infos: Vec<u64> = infos.into_iter().map(Option::unwrap_or_default).collect();
    let rows =
        pass.memory.rows(&infos, &Members::of(&[layout.flags, layout.pages, layout.max, layout.clusters]))?;
    let used = (0..infos.len()).filter(|number| rows.pointer(*number, layout.flags) & USED != 0);
    let info = |(number, listed): (usize, &ListedSwap)| {
        let pages: u32 = rows.get(number, layout.pages)?;
        let is_it = listed.kib == Some(u64::from(pages) * (page_bytes() as u64 >> 10));
        let max = rows.get::<u32>(number, layout.max)?;
        let info = SwapInfo { number, max: max.into(), clusters: rows.pointer(number, layout.clusters) };
        is_it.then_some(info)
    };
    let used: Vec<usize> = used.collect();
    if used.len() != listed.len() {
        return Ok(None);
    }
    Ok(used.into_iter().zip(listed).map(info).collect())
}

/// Addresses of the pages of IDs, and how much of each is one. `None`: there are no such pages.
fn by_page(pass: &mut Pass<'_>, info: &SwapInfo) -> Result<Option<(Vec<u64>, usize)>, MemoryError> {
    let layout = pass.layout.swap;
    let Ok(records) = symbol("swap_cgroup_ctrl") else { return Ok(None) };
    let Some(map) = linear_map(pass)? else { return Ok(None) };
    if layout.records.length == ABSENT || layout.id_size != 2 || layout.records_size == ABSENT {
        return Ok(None);
    }
    let records = records.wrapping_add(u64::from(layout.records_size) * info.number as u64);
    let pages = pass.memory.pointers(&[records], layout.records.pages)?[0];
    let each = page_bytes();
    let count = info.max.div_ceil(each as u64 / 2);
    let pages = pass.memory.array(pages, count as usize)?;
    let addresses: Option<Vec<u64>> = pages.into_iter().map(|page| map.address(page?)).collect();
    Ok(addresses.map(|addresses| (addresses, each)))
}

/// Addresses of the arrays of IDs of all clusters, and their size.
fn by_cluster(pass: &mut Pass<'_>, info: &SwapInfo) -> Result<Option<(Vec<u64>, usize)>, MemoryError> {
    let layout = pass.layout.swap;
    if [layout.cluster_size, layout.ids_size].contains(&ABSENT) || layout.ids_size < 2 {
        return Ok(None);
    }
    let count = info.max.div_ceil(u64::from(layout.ids_size) / 2);
    let cluster = |number: u64| info.clusters.wrapping_add(number * u64::from(layout.cluster_size));
    let clusters: Vec<u64> = (0..count).map(cluster).collect();
    let ids = pass.memory.pointers(&clusters, layout.cluster.ids)?;
    Ok(Some((ids, layout.ids_size as usize)))
}

/// Where the kernel has all memory, and the `struct page`s of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinearMap {
    pub start: u64,
    pages: u64,
    page_size: u64,
}

/// `None`: the kernel does not tell, or has no variables for it, as on arm64.
pub(super) fn linear_map(pass: &mut Pass<'_>) -> Result<Option<LinearMap>, MemoryError> {
    let (Ok(start), Ok(pages)) = (symbol("page_offset_base"), symbol("vmemmap_base")) else {
        return Ok(None);
    };
    let values = pass.memory.pointers(&[start, pages], 0)?;
    let page_size = pass.layout.page.size;
    let map = LinearMap { start: values[0], pages: values[1], page_size: page_size.into() };
    Ok(Some(map).filter(|map| page_size != ABSENT && map.start != 0 && map.pages != 0))
}

impl LinearMap {
    /// Of the memory of a `struct page`. `None`: it is none.
    fn address(&self, page: u64) -> Option<u64> {
        let offset = page.checked_sub(self.pages)?;
        let number = (offset % self.page_size == 0).then(|| offset / self.page_size)?;
        Some(self.start.wrapping_add(number.wrapping_mul(page_bytes() as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_by_type_and_place() {
        let mut records = Records { devices: vec![Some(0), None, Some(1)], runs: Vec::new() };
        for (device, places, memcg) in [(0, 5..9, 7), (0, 9..10, 3), (0, 12..13, 3), (1, 1..4, 7)] {
            places.for_each(|place| records.push(device, place, memcg));
        }
        assert_eq!(records.runs.len(), 4, "{records:?}");
        let table = [
            ((0, 4), None),
            ((0, 5), Some((7, 0))),
            ((0, 8), Some((7, 0))),
            ((0, 9), Some((3, 0))),
            ((0, 10), None),
            ((0, 12), Some((3, 0))),
            ((1, 5), None),
            ((2, 0), None),
            ((2, 3), Some((7, 1))),
            ((2, 4), None),
            ((9, 5), None),
        ];
        for ((number, place), expected) in table {
            assert_eq!(records.of(number, place), expected, "{number} {place}");
        }
        let counts = [(7, 0), (3, 0), (7, 1), (3, 1)].map(|(memcg, device)| records.count(memcg, device));
        assert_eq!((counts, records.entries()), ([4, 2, 3, 0], 9));
    }

    #[test]
    fn pages_and_their_memory() {
        let map = LinearMap { start: 0xffff_8880_0000_0000, pages: 0xffff_ea00_0000_0000, page_size: 64 };
        assert_eq!(map.address(0xffff_ea00_0000_0080), Some(0xffff_8880_0000_2000));
        assert_eq!(map.address(0xffff_ea00_0000_0081), None);
        assert_eq!(map.address(0x1000), None);
    }
}
