//! Charges of a memcg, in bytes.

use memcg_trace_common::{Charges, Kind};
use serde::Serialize;

use crate::record::Version;

/// Accounting on this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounting {
    pub version: Version,
    /// Whether swap is charged (CONFIG_MEMCG_SWAP, swapaccount=).
    pub swap: bool,
    pub page_bytes: u64,
}

/// Charges by kind, descendants included, named as in memory.stat; null: unknown on this kernel. The counters may lag
/// behind by a few pages per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChargesView {
    /// Page cache, shmem included.
    pub file: Option<u64>,
    pub anon: Option<u64>,
    pub shmem: Option<u64>,
    pub slab: Option<u64>,
    pub swap: Option<u64>,
    pub sock: Option<u64>,
    pub percpu: Option<u64>,
    pub page_tables: Option<u64>,
    pub kernel_stack: Option<u64>,
    pub vmalloc: Option<u64>,
    /// All kernel memory of the memcg: slab, percpu, page tables, stacks and more.
    pub kmem: Option<u64>,
}

impl ChargesView {
    /// `charged_pages`: the page counter, read together with `charges`.
    pub fn new(charges: &Charges, charged_pages: Option<u64>, accounting: Accounting) -> Self {
        let Accounting { version, page_bytes, .. } = accounting;
        let v1 = version == Version::V1;
        let known = |bit: u32, value: u64| (charges.known & bit != 0).then_some(value);
        let pages = |pages: u64| pages.saturating_mul(page_bytes);
        let kind = |kind: Kind, unit: u64| {
            // Sums of deltas of many CPUs: below zero for an instant, as in the kernel's own memcg_page_state().
            let value = u64::try_from(charges.kinds[kind as usize]).unwrap_or(0);
            known(1 << kind as u32, value.saturating_mul(unit))
        };
        let swap = known(Charges::SWAP, charges.swap_pages).filter(|_| accounting.swap);
        // v1 counts memory and swap together (memsw), and both may change between the reads.
        let swap = if v1 {
            swap.zip(charged_pages).map(|(memsw, memory)| memsw.saturating_sub(memory))
        } else {
            swap
        };
        // v1 has separate counters for the two; on v2 they stay 0.
        let kmem = known(Charges::KMEM, charges.kmem_pages).filter(|_| v1).map(pages);
        let tcpmem = known(Charges::TCPMEM, charges.tcpmem_pages).map(pages);
        let slabs = kind(Kind::SlabReclaimable, 1).zip(kind(Kind::SlabUnreclaimable, 1));
        Self {
            file: kind(Kind::File, page_bytes),
            anon: kind(Kind::Anon, page_bytes),
            shmem: kind(Kind::Shmem, page_bytes),
            slab: slabs.map(|(reclaimable, unreclaimable)| reclaimable.saturating_add(unreclaimable)),
            swap: swap.map(pages),
            sock: if v1 { tcpmem } else { kind(Kind::Sock, page_bytes) },
            percpu: kind(Kind::Percpu, 1),
            page_tables: kind(Kind::PageTables, page_bytes),
            kernel_stack: kind(Kind::KernelStack, 1024),
            vmalloc: kind(Kind::Vmalloc, page_bytes),
            kmem: kmem.or(kind(Kind::Kernel, page_bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges() -> Charges {
        let mut charges =
            Charges { known: u32::MAX, swap_pages: 30, kmem_pages: 4, tcpmem_pages: 2, ..Charges::UNKNOWN };
        charges.kinds = [7, -3, 5, 100, 50, 6, 300, 1, 16, 2, 9];
        charges
    }

    fn view(version: Version, swap: bool) -> ChargesView {
        ChargesView::new(&charges(), Some(20), Accounting { version, swap, page_bytes: 4096 })
    }

    #[test]
    fn units_are_those_of_the_counters() {
        let expected = ChargesView {
            file: Some(7 * 4096),
            anon: Some(0),
            shmem: Some(5 * 4096),
            slab: Some(150),
            swap: Some(30 * 4096),
            sock: Some(6 * 4096),
            percpu: Some(300),
            page_tables: Some(4096),
            kernel_stack: Some(16 * 1024),
            vmalloc: Some(2 * 4096),
            kmem: Some(9 * 4096),
        };
        assert_eq!(view(Version::V2, true), expected);
    }

    #[test]
    fn v1_counts_swap_with_memory_and_the_kernel_apart() {
        let view = view(Version::V1, true);
        assert_eq!((view.swap, view.sock, view.kmem), (Some(10 * 4096), Some(2 * 4096), Some(4 * 4096)));
    }

    #[test]
    fn unknown_is_not_zero() {
        assert_eq!(view(Version::V1, false).swap, None);
        let accounting = Accounting { version: Version::V2, swap: true, page_bytes: 4096 };
        assert_eq!(ChargesView::new(&Charges::UNKNOWN, Some(20), accounting), ChargesView::default());
        // 5.10 on v2: there is a kmem counter, but it is never charged.
        let charges = Charges { known: Charges::KMEM, ..Charges::UNKNOWN };
        assert_eq!(ChargesView::new(&charges, Some(20), accounting).kmem, None);
    }
}
