//! Swapped pages of processes: in place of a page, a page table has the swap entry. The kernel has no list of those that have
//! some, but each address space counts its own; where CPUs count on their own, some are missing from that.

use std::cmp::Reverse;

use foldhash::HashMap;
use memcg_trace_common::{ABSENT, READ_MAX, Request};
use zerocopy::FromBytes as _;

use super::{
    SwapOwnersOf,
    records::{LinearMap, Records, linear_map},
};
use crate::{
    cause::Process,
    kernel::{
        memory::{Members, MemoryError},
        pins::{pass::Pass, tasks::Tasks},
    },
};

/// Tables that are looked at, at most: of 256 GiB of mapped memory.
const TABLES_MAX: usize = 1 << 17;
/// Tables that are read at once.
const AT_ONCE: usize = 256;
/// Entries of a table, and how many are user space's in the uppermost one.
const ENTRIES: usize = 512;
const USER: usize = ENTRIES / 2;
const WHAT: &str = "swapped processes";
/// Tables of five levels: the linear map is lower then (Documentation/arch/x86/x86_64/mm.rst).
const FOUR_LEVELS: u64 = 0xffff_8000_0000_0000;
/// Bits of an entry (arch/x86/include/asm/pgtable_types.h).
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const PROTNONE: u64 = 1 << 8;
const ADDRESS: u64 = ((1 << 52) - 1) & !((1 << 12) - 1);

/// An entry of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableEntry {
    /// Physical address.
    Table(u64),
    /// Type and place.
    Swap(u64, u64),
    Other,
}

impl TableEntry {
    /// Of a table `level` levels above the lowest. Places are inverted there, so that nothing is to be found at the address that
    /// one looks like (`__swp_offset`, arch/x86/include/asm/pgtable_64.h).
    fn of(entry: u64, level: u32) -> Self {
        match (entry & PRESENT, level) {
            (0, 0) if entry != 0 && entry & PROTNONE == 0 => Self::Swap(entry >> 59, (!entry << 5) >> 14),
            (1, 1..) if entry & LARGE == 0 => Self::Table(entry & ADDRESS),
            _ => Self::Other,
        }
    }
}

/// Adds the processes to which entries of the records belong, until all `left` are found.
pub(super) fn read(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    records: &Records,
    left: u64,
    owners: &mut SwapOwnersOf,
) -> Result<(), MemoryError> {
    let layout = pass.layout.swap;
    let map = linear_map(pass)?;
    let Some(map) = map.filter(|_| cfg!(target_arch = "x86_64") && layout.tables != ABSENT) else {
        return Ok(());
    };
    let mut mms: Vec<(u64, Vec<Process>)> = Vec::new();
    for (mm, tasks_of) in tasks.by(|task| task.mm) {
        let mut processes: Vec<Process> = tasks_of.iter().map(|task| tasks.process(task)).collect();
        processes.sort_unstable();
        processes.dedup();
        mms.push((mm, processes));
    }
    let addresses: Vec<u64> = mms.iter().map(|(mm, _)| *mm).collect();
    let rows = pass.memory.rows(&addresses, &Members::of(&[layout.tables, layout.swapped]))?;
    let counted = |row: usize| rows.get::<i64>(row, layout.swapped).unwrap_or(0);
    let mut order: Vec<usize> = (0..mms.len()).filter(|row| rows.pointer(*row, layout.tables) != 0).collect();
    order.sort_by_key(|row| (Reverse(counted(*row)), mms[*row].1.first().map(|process| process.pid)));
    let (mut left, mut tables) = (left, TABLES_MAX);
    for row in order {
        if left == 0 || tables == 0 || pass.is_late(WHAT) {
            break;
        }
        let counts = of_process(pass, map, rows.pointer(row, layout.tables), records, &mut tables)?;
        left = left.saturating_sub(counts.values().sum());
        for (of, entries) in counts {
            let processes = mms[row].1.iter().map(|process| (process.clone(), entries));
            owners.entry(of).or_default().processes.extend(processes);
        }
    }
    owners.values_mut().for_each(|owners| owners.processes.sort_unstable_by(|a, b| a.0.cmp(&b.0)));
    Ok(())
}

/// Entries of the records in an address space, by memcg and device.
fn of_process(
    pass: &mut Pass<'_>,
    map: LinearMap,
    uppermost: u64,
    records: &Records,
    tables: &mut usize,
) -> Result<HashMap<(usize, usize), u64>, MemoryError> {
    let levels = if map.start < FOUR_LEVELS { 5 } else { 4 };
    let mut counts = HashMap::default();
    let mut at = vec![uppermost];
    for level in (0..levels).rev() {
        at.truncate(*tables);
        *tables -= at.len();
        let bytes = size_of::<u64>() * if level + 1 == levels { USER } else { ENTRIES };
        let mut below = Vec::new();
        for some in at.chunks(AT_ONCE) {
            if pass.is_late(WHAT) {
                return Ok(counts);
            }
            let parts = |table: &u64| {
                let table = *table;
                (0..bytes).step_by(READ_MAX).map(move |part| Request {
                    address: table.wrapping_add(part as u64),
                    length: READ_MAX as u32,
                    string: 0,
                })
            };
            let requests: Vec<Request> = some.iter().flat_map(parts).collect();
            pass.memory.read(&requests, &mut |_, bytes| {
                let words = bytes.unwrap_or_default().chunks_exact(size_of::<u64>());
                for entry in words.filter_map(|word| u64::read_from_bytes(word).ok()) {
                    match TableEntry::of(entry, level) {
                        TableEntry::Table(address) => below.push(map.start.wrapping_add(address)),
                        TableEntry::Swap(number, place) => {
                            if let Some(of) = records.of(number, place) {
                                *counts.entry(of).or_default() += 1;
                            }
                        }
                        TableEntry::Other => {}
                    }
                }
            })?;
        }
        at = below;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_page_tables() {
        /// As `__swp_entry` makes it.
        fn swap(number: u64, place: u64) -> u64 {
            (!place << 14 >> 5) | number << 59
        }
        let table = [
            (0, 0, TableEntry::Other),
            (0x8000_0001_2345_6867, 0, TableEntry::Other),
            (swap(0, 1), 0, TableEntry::Swap(0, 1)),
            (swap(3, 0x12_3456), 0, TableEntry::Swap(3, 0x12_3456)),
            // With the bits for soft-dirty and exclusive pages.
            (swap(1, 77) | 0b1010, 0, TableEntry::Swap(1, 77)),
            // Not present for its protection (`PROT_NONE`).
            (0x8000_0001_2345_6000 | PROTNONE, 0, TableEntry::Other),
            (0x0000_0001_2345_6067, 1, TableEntry::Table(0x1_2345_6000)),
            (0x8000_0001_2340_00e7, 1, TableEntry::Other),
            (swap(0, 1), 1, TableEntry::Other),
        ];
        for (entry, level, expected) in table {
            assert_eq!(TableEntry::of(entry, level), expected, "{entry:#x} at {level}");
        }
    }
}
