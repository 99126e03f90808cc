//! Offsets of a memcg's counters, by [`Kind`].
//!
//! Up to 6.9 the array has one counter per item. Since then it only has those that memcgs use, indexed by
//! `mem_cgroup_stats_index`, which is filled at boot. That variable has no type in BTF: it is found by its symbol, else by
//! its content ([`counter_index`]), and used only if it is a valid index, with each place of the array exactly once.

use memcg_trace_common::{ABSENT, KINDS, Kind};
use thiserror::Error;

use crate::kernel::{
    ability::Lack,
    memory::{MemoryError, symbols::SymbolError},
};

/// The kernel's names for the counters, newest first.
pub const KIND_ITEMS: &[(Kind, &str)] = &[
    (Kind::File, "NR_FILE_PAGES"),
    (Kind::Anon, "NR_ANON_MAPPED"),
    (Kind::Shmem, "NR_SHMEM"),
    (Kind::SlabReclaimable, "NR_SLAB_RECLAIMABLE_B"),
    (Kind::SlabUnreclaimable, "NR_SLAB_UNRECLAIMABLE_B"),
    (Kind::Sock, "MEMCG_SOCK"),
    (Kind::Percpu, "MEMCG_PERCPU_B"),
    (Kind::PageTables, "NR_PAGETABLE"),
    (Kind::KernelStack, "NR_KERNEL_STACK_KB"),
    (Kind::Vmalloc, "NR_VMALLOC"),
    // Its name before it was also counted per node.
    (Kind::Vmalloc, "MEMCG_VMALLOC"),
    (Kind::Kernel, "MEMCG_KMEM"),
];

pub(super) const INDEX: &str = "mem_cgroup_stats_index";

/// The reason why it is unknown what memcgs are charged for.
#[derive(Debug, Error)]
pub enum CountersError {
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    #[error("cannot read {INDEX}: {0}")]
    Memory(#[from] MemoryError),
    #[error("cannot read {INDEX} at {0:#x}")]
    Unreadable(u64),
    #[error("{INDEX} is not an index of this kernel's counters")]
    Foreign,
    #[error("what is at {0:#x} and at {1:#x} in the kernel's data both look like {INDEX}")]
    Ambiguous(u64, u64),
}

impl Lack for CountersError {
    fn next_step(&self) -> String {
        match self {
            Self::Symbol(error) => error.next_step(),
            Self::Memory(_) | Self::Unreadable(_) | Self::Foreign | Self::Ambiguous(..) => {
                "none needed: memcgs are listed without what they are charged for".to_owned()
            }
        }
    }

    fn manifest(&self) -> Option<&'static str> {
        match self {
            Self::Symbol(error) => error.manifest(),
            Self::Memory(_) | Self::Unreadable(_) | Self::Foreign | Self::Ambiguous(..) => None,
        }
    }
}

/// An array that only has the counters that memcgs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Item number of each [`Kind`]; [`ABSENT`] where the kernel has none.
    pub items: [u32; KINDS],
    /// Number of items.
    pub all: usize,
    /// Number of items in the array.
    pub kept: usize,
}

/// Byte offsets of the counters, from their places in the array.
pub fn unpacked(places: &[u32; KINDS]) -> [u32; KINDS] {
    places.map(|place| if place == ABSENT { ABSENT } else { place.saturating_mul(size_of::<u64>() as u32) })
}

impl Packed {
    /// `index` has a byte per item: its place in the array. Places start at 0, and 255 means none; up to 6.11 they
    /// started at 1, and 0 meant none.
    pub(super) fn offsets_by(&self, index: &[u8]) -> Option<[u32; KINDS]> {
        let none = if index.contains(&u8::MAX) { u8::MAX } else { 0 };
        let first = u8::from(none == 0);
        let mut taken = [false; 1 << u8::BITS];
        for &place in index.iter().filter(|&&place| place != none) {
            let outside = usize::from(place - first) >= self.kept;
            if outside || std::mem::replace(&mut taken[usize::from(place)], true) {
                return None;
            }
        }
        if taken.into_iter().filter(|&taken| taken).count() != self.kept {
            return None;
        }
        let place = |item: u32| {
            let place = index.get(item as usize).filter(|&&place| place != none);
            place.map(|&place| u32::from(place - first))
        };
        Some(unpacked(&self.items.map(|item| place(item).unwrap_or(ABSENT))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten items, of which the array has four; the first three kinds are items 2, 5 and 7.
    fn packed() -> Packed {
        let mut items = [ABSENT; KINDS];
        items[..3].copy_from_slice(&[2, 5, 7]);
        Packed { items, all: 10, kept: 4 }
    }

    fn offsets(index: [u8; 10]) -> Option<[u32; 4]> {
        packed().offsets_by(&index).map(|offsets| [offsets[0], offsets[1], offsets[2], offsets[3]])
    }

    #[test]
    fn places_count_from_0_or_from_1() {
        const NONE: u8 = u8::MAX;
        let from_0 = [NONE, NONE, 0, NONE, 3, 2, NONE, 1, NONE, NONE];
        assert_eq!(offsets(from_0), Some([0, 16, 8, ABSENT]));
        let from_1 = [0, 0, 1, 0, 4, 3, 0, 2, 0, 0];
        assert_eq!(offsets(from_1), Some([0, 16, 8, ABSENT]));
        let unused = [NONE, NONE, NONE, 0, 3, 2, NONE, 1, NONE, NONE];
        assert_eq!(offsets(unused), Some([ABSENT, 16, 8, ABSENT]));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        assert_eq!(offsets([0; 10]), None);
        assert_eq!(offsets([255; 10]), None);
        assert_eq!(offsets([0, 0, 1, 0, 4, 3, 0, 3, 0, 0]), None);
        assert_eq!(offsets([0, 0, 1, 0, 5, 3, 0, 2, 0, 0]), None);
        assert_eq!(offsets([255, 255, 1, 255, 4, 3, 255, 2, 255, 255]), None);
    }
}
