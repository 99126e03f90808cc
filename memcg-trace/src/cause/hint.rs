//! What pins a dying memcg, as a hint: by its memcg ID, its references and the largest of its charges. Counters do not tell
//! whose pages they count; where references can be looked at, [`super::Explanation`] is what counts.

use memcg_trace_common::{Charges, Kind};
use serde::Serialize;

use crate::event::Event;

/// The most likely pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// It still owns its memcg ID, which is held by swapped-out pages.
    Swap,
    /// Slab caches of its own (3.10).
    SlabCaches,
    /// Pages of a tmpfs.
    Tmpfs,
    /// Pages of files.
    PageCache,
    /// Memory of processes that were moved out.
    Processes,
    /// Buffers of sockets.
    Sockets,
    /// Kernel memory.
    Kernel,
    /// A few references, with fewer pages: a zombie process, a namespace, a child, an inode's writeback, a CPU's stock
    /// of charges.
    Reference,
    /// Pages of unknown kind.
    Pages,
    Unknown,
}

/// Processes, namespaces and children have up to this many references; more are pages.
const FEW: u64 = 3;

impl Hint {
    /// `by_caches`: whether slab caches pin it.
    pub fn of(event: &Event, charges: Option<&Charges>, by_caches: bool, page_bytes: u64) -> Self {
        if by_caches {
            return Self::SlabCaches;
        }
        // Where IDs have no refcount (before 4.7), each memcg owns one until it is freed.
        if event.memcg_id().is_some_and(|id| id != 0) && event.id_refs().is_some() {
            return Self::Swap;
        }
        if event.css_refs().is_none() && charges.is_none_or(|charges| charges.known == 0) {
            return Self::Unknown;
        }
        let few = event.css_refs().is_some_and(|refs| refs <= FEW);
        // Each folio is a reference. The rest of the counter is kernel memory and, since 7.1, pages: both were
        // reparented without being uncharged. Or it is a CPU's stock.
        if let (true, Some((refs, charged))) = (few, event.css_refs().zip(event.charged_pages())) {
            let kernel = charges.map_or(0, kernel_pages);
            let pages = charged.saturating_sub(kernel);
            if pages == 0 || pages > refs {
                return Self::Reference;
            }
        }
        let Some(charges) = charges else { return Self::Pages };
        let bytes = |kind: Kind, unit: u64| {
            let known = charges.known & (1 << kind as u32) != 0;
            if known {
                u64::try_from(charges.kinds[kind as usize]).unwrap_or(0).saturating_mul(unit)
            } else {
                0
            }
        };
        let (file, shmem) = (bytes(Kind::File, page_bytes), bytes(Kind::Shmem, page_bytes));
        let slab = bytes(Kind::SlabReclaimable, 1) + bytes(Kind::SlabUnreclaimable, 1);
        let kinds = [
            (shmem, Self::Tmpfs),
            (file.saturating_sub(shmem), Self::PageCache),
            (bytes(Kind::Anon, page_bytes), Self::Processes),
            (bytes(Kind::Sock, page_bytes), Self::Sockets),
            (slab + bytes(Kind::Percpu, 1), Self::Kernel),
        ];
        // A few references are at most a few pages.
        let kinds = kinds.into_iter().filter(|(bytes, pin)| *bytes > 0 && !(few && pin.is_bytes()));
        let largest = kinds.max_by_key(|(bytes, _)| *bytes);
        largest.map_or(if few { Self::Reference } else { Self::Pages }, |(_, pin)| pin)
    }

    /// Whether it is charged by bytes, not by pages.
    fn is_bytes(self) -> bool {
        matches!(self, Self::Sockets | Self::Kernel)
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swap => "swapped-out pages",
            Self::SlabCaches => "slab caches of their own",
            Self::Tmpfs => "files on a tmpfs",
            Self::PageCache => "page cache",
            Self::Processes => "memory of processes that moved on",
            Self::Sockets => "sockets",
            Self::Kernel => "kernel memory",
            Self::Reference => "a process, a namespace or a child",
            Self::Pages => "pages of a kind that is not known",
            Self::Unknown => "something that is not known",
        }
    }
}

/// Pages of kernel memory, by whichever counter this kernel has: `MEMCG_KMEM` counts pages, as `mem_cgroup.kmem` does
/// (`mod_memcg_state(memcg, MEMCG_KMEM, nr_pages)`, mm/memcontrol.c).
fn kernel_pages(charges: &Charges) -> u64 {
    let counter = if charges.known & Charges::KMEM != 0 { charges.kmem_pages } else { 0 };
    let known = charges.known & (1 << Kind::Kernel as u32) != 0;
    let pages = if known { u64::try_from(charges.kinds[Kind::Kernel as usize]).unwrap_or(0) } else { 0 };
    counter.max(pages)
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::{EventHeader, Field, Hook};
    use zerocopy::FromZeros as _;

    use super::*;

    fn dying(memcg_id: u32, refs: u64, charged: u64) -> Event {
        let known = Field::MEMCG_ID | Field::ID_REFS | Field::CSS_REFS | Field::CHARGED;
        let header = EventHeader {
            hook: Hook::Walk as u16,
            known,
            memcg_id,
            css_refs: refs,
            charged_pages: charged,
            ..EventHeader::new_zeroed()
        };
        Event::new(header, b"").expect("an event")
    }

    fn charges(kinds: &[(Kind, i64)]) -> Charges {
        let mut charges = Charges::UNKNOWN;
        for (kind, value) in kinds {
            charges.kinds[*kind as usize] = *value;
            charges.known |= 1 << *kind as u32;
        }
        charges
    }

    #[test]
    fn the_largest_charge_is_a_hint() {
        type Row<'a> = (Event, &'a [(Kind, i64)], Hint);
        let table: &[Row<'_>] = &[
            (dying(7, 6200, 54), &[(Kind::Anon, 54)], Hint::Swap),
            (dying(0, 256, 256), &[(Kind::File, 256), (Kind::Shmem, 250)], Hint::Tmpfs),
            (dying(0, 257, 257), &[(Kind::File, 256), (Kind::Shmem, 6)], Hint::PageCache),
            (dying(0, 700, 700), &[(Kind::File, 2), (Kind::Sock, 650)], Hint::Sockets),
            (dying(0, 90, 90), &[(Kind::SlabReclaimable, 300_000), (Kind::Anon, 1)], Hint::Kernel),
            (
                dying(0, 90, 400),
                &[(Kind::SlabReclaimable, 300_000), (Kind::SlabUnreclaimable, 300_000), (Kind::Anon, 100)],
                Hint::Kernel,
            ),
            (
                dying(0, 90, 400),
                &[(Kind::SlabReclaimable, 300_000), (Kind::Percpu, 300_000), (Kind::Anon, 100)],
                Hint::Kernel,
            ),
            (dying(0, 1, 1), &[(Kind::File, 1), (Kind::Shmem, 1)], Hint::Tmpfs),
            (dying(0, 1, 0), &[], Hint::Reference),
            (dying(0, 1, 30), &[(Kind::Sock, 30)], Hint::Reference),
            (dying(0, 1, 1), &[(Kind::File, 0)], Hint::Reference),
            (dying(0, 1, 1), &[(Kind::SlabReclaimable, 600)], Hint::Reference),
            // Since 7.1: the pages were reparented, but stay in the counter.
            (dying(0, 1, 286), &[(Kind::File, 286)], Hint::Reference),
            // Reparented kernel memory, and one page.
            (dying(0, 1, 7), &[(Kind::Kernel, 6), (Kind::File, 1)], Hint::PageCache),
            // Large folios.
            (dying(0, 40, 900), &[(Kind::File, 880)], Hint::PageCache),
            (dying(0, 90, 90), &[], Hint::Pages),
        ];
        for (event, kinds, pin) in table {
            assert_eq!(Hint::of(event, Some(&charges(kinds)), false, 4096), *pin, "{kinds:?}");
        }
        let unknown = Event::new(EventHeader { hook: Hook::Walk as u16, ..EventHeader::new_zeroed() }, b"");
        let unknown = unknown.expect("an event");
        assert_eq!(Hint::of(&unknown, None, false, 4096), Hint::Unknown);
        assert_eq!(Hint::of(&unknown, Some(&Charges::UNKNOWN), false, 4096), Hint::Unknown);
        assert_eq!(Hint::of(&unknown, Some(&charges(&[(Kind::Anon, 1)])), false, 4096), Hint::Processes);
        assert_eq!(Hint::of(&unknown, Some(&Charges::UNKNOWN), true, 4096), Hint::SlabCaches);
    }

    /// What stands in a counter that this kernel does not have is no charge.
    #[test]
    fn only_known_counters_count() {
        let one_page = |known, kmem_pages, kernel_pages| {
            let mut charges = charges(&[(Kind::File, 1)]);
            charges.known |= known;
            charges.kmem_pages = kmem_pages;
            charges.kinds[Kind::Kernel as usize] = kernel_pages;
            charges.kinds[Kind::Sock as usize] = 700;
            charges
        };
        let table = [
            (one_page(Charges::KMEM, 6, 0), Hint::PageCache),
            (one_page(1 << Kind::Kernel as u32, 0, 6), Hint::PageCache),
            (one_page(0, 6, 6), Hint::Reference),
        ];
        for (charges, hint) in table {
            assert_eq!(Hint::of(&dying(0, 1, 7), Some(&charges), false, 4096), hint, "{charges:?}");
        }
        assert_eq!(Hint::of(&dying(0, 700, 700), Some(&one_page(0, 0, 0)), false, 4096), Hint::PageCache);
    }
}
