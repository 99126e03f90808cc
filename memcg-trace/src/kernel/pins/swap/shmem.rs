//! Swapped pages of files on a tmpfs: in place of a page, the xarray of a file has its swap entry (`shmem_writepage`,
//! mm/shmem.c). The kernel has a list of the files with such pages.

use foldhash::HashMap;
use memcg_trace_common::{ABSENT, READ_MAX};

use super::{SwapOwnersOf, records::Records};
use crate::kernel::{
    memory::{Lists, Members, MemoryError, symbols::symbol},
    pins::{files, mounts::Mounts, pass::Pass},
};

/// Files that are looked at, at most, and nodes of all their xarrays.
const FILES_MAX: usize = 1 << 18;
const NODES_MAX: usize = 1 << 18;
const NODES_AT_ONCE: usize = 1 << 12;
const WHAT: &str = "swapped files";
/// Slots of a node (`XA_CHUNK_SIZE`), and the words that are read at once.
const SLOTS: usize = 64;
const AT_ONCE: u32 = READ_MAX as u32;
/// Swapped pages that have one slot, at most, as a power of two: of a huge page (`MAX_PAGECACHE_ORDER`).
const LARGEST: u8 = 12;
/// More levels than an xarray has (six bits of a 64-bit index each).
const LEVELS_MAX: u32 = 11;
/// Bits of a swap entry in an xarray that are the place on its device (`SWP_TYPE_SHIFT`, include/linux/swapops.h).
const PLACE_BITS: u32 = 58;

/// What a slot of a node has (include/linux/xarray.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Node(u64),
    /// A swap entry: type and place.
    Swap(u64, u64),
    /// More of the slot before it.
    Sibling,
    /// A page, or nothing.
    Other,
}

impl Slot {
    fn of(entry: u64) -> Self {
        match (entry & 1, entry & 3) {
            (1, _) => Self::Swap((entry >> 1) >> PLACE_BITS, (entry >> 1) & ((1 << PLACE_BITS) - 1)),
            (_, 2) if entry > 4096 => Self::Node(entry - 2),
            (_, 2) if entry >> 2 < SLOTS as u64 => Self::Sibling,
            _ => Self::Other,
        }
    }
}

/// Adds the files to which entries of the records belong, and says of how many.
pub(super) fn read(
    pass: &mut Pass<'_>,
    records: &Records,
    mounts: &mut Mounts,
    owners: &mut SwapOwnersOf,
) -> Result<u64, MemoryError> {
    let layout = pass.layout.swap;
    let offsets = [layout.shmem.swapped, layout.shmem.inode, layout.node.shift, layout.node.slots];
    let Ok(head) = symbol("shmem_swaplist") else { return Ok(0) };
    if offsets.contains(&ABSENT) {
        return Ok(0);
    }
    let files = pass.memory.list(head, Lists { node: layout.shmem.swapped, limit: FILES_MAX })?.entries;
    let inodes: Vec<u64> = files.iter().map(|file| file.wrapping_add(layout.shmem.inode.into())).collect();
    let heads = pass.memory.chase(&inodes, &[pass.layout.inode.mapping, pass.layout.mapping.first])?;
    let mut counts: HashMap<(usize, usize, usize), u64> = HashMap::default();
    let mut count = |file: usize, number: u64, place: u64, pages: u64| {
        for (memcg, device) in (place..place + pages).filter_map(|place| records.of(number, place)) {
            *counts.entry((file, memcg, device)).or_default() += 1;
        }
    };
    let mut level = Vec::new();
    for (file, head) in heads.iter().enumerate() {
        match Slot::of(*head) {
            Slot::Node(node) => level.push((file, node)),
            Slot::Swap(number, place) => count(file, number, place, 1),
            Slot::Sibling | Slot::Other => {}
        }
    }
    let slots = layout.node.slots;
    let members = (slots..).step_by(READ_MAX).take(SLOTS * 8 / READ_MAX);
    let members =
        members.fold(Members::default().with(layout.node.shift, 1), |members, at| members.with(at, AT_ONCE));
    let mut nodes = 0;
    for _ in 0..LEVELS_MAX {
        nodes += level.len();
        if level.is_empty() || nodes > NODES_MAX || pass.is_late(WHAT) {
            break;
        }
        let mut below = Vec::new();
        for some in level.chunks(NODES_AT_ONCE) {
            if pass.is_late(WHAT) {
                break;
            }
            let addresses: Vec<u64> = some.iter().map(|(_, node)| *node).collect();
            let rows = pass.memory.rows(&addresses, &members)?;
            for (row, (file, _)) in some.iter().enumerate() {
                // Higher up there are nodes alone.
                let shift = rows.get::<u8>(row, layout.node.shift).filter(|shift| *shift <= LARGEST);
                let each = shift.map_or(0, |shift| 1 << shift);
                let mut last = Slot::Other;
                for slot in (slots..).step_by(8).take(SLOTS).map(|at| Slot::of(rows.pointer(row, at))) {
                    match (slot, last) {
                        (Slot::Node(node), _) => below.push((*file, node)),
                        (Slot::Swap(number, place), _) => count(*file, number, place, each),
                        // It goes on where the slot before it ends.
                        (Slot::Sibling, Slot::Swap(number, place)) => {
                            last = Slot::Swap(number, place + each);
                            count(*file, number, place + each, each);
                            continue;
                        }
                        _ => {}
                    }
                    last = slot;
                }
            }
        }
        level = below;
    }
    let total = counts.values().sum();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    let owning: Vec<u64> = counts.iter().map(|((file, ..), _)| inodes[*file]).collect();
    let named = files::read(pass.memory, pass.layout, mounts, &owning)?;
    for (((_, memcg, device), entries), file) in counts.into_iter().zip(named) {
        owners.entry((memcg, device)).or_default().files.extend(file.map(|file| (file, entries)));
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_an_xarray() {
        let table = [
            (0, Slot::Other),
            (0xffff_ea00_0000_0040, Slot::Other),
            (0xffff_8880_0123_4002, Slot::Node(0xffff_8880_0123_4000)),
            (0b10, Slot::Sibling),
            (63 << 2 | 2, Slot::Sibling),
            // `XA_ZERO_ENTRY`
            (257 << 2 | 2, Slot::Other),
            ((0x1234 << 1) | 1, Slot::Swap(0, 0x1234)),
            (((3 << 58 | 7) << 1) | 1, Slot::Swap(3, 7)),
        ];
        for (entry, expected) in table {
            assert_eq!(Slot::of(entry), expected, "{entry:#x}");
        }
    }
}
