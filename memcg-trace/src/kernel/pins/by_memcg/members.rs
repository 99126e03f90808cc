//! What is read of a memcg of 3.10, and what its members say about its references (mm/memcontrol.c of 3.10.0-1160.el7). Pure.

use crate::{
    cause::{Folios, Reference, Thing},
    kernel::memory::kcore::Struct,
};

/// `mem_cgroup.css.refcnt`
const CSS_REFCNT: u32 = 8;
/// `mem_cgroup.memory`, `.memsw` and `.kmem`: page counters.
const MEMORY: u32 = 72;
const MEMSW: u32 = 264;
const KMEM: u32 = 304;
/// `page_counter.limit` and `.parent`; its count comes first.
const COUNTER_LIMIT: u32 = 8;
const COUNTER_PARENT: u32 = 16;
/// `PAGE_COUNTER_MAX`: the root cannot be limited.
const NO_LIMIT: u64 = (i64::MAX / 4096) as u64;
/// `mem_cgroup.kmem_account_flags`, and its bits `KMEM_ACCOUNTED_ACTIVE` and `KMEM_ACCOUNTED_DEAD`.
const KMEM_FLAGS: u32 = 352;
const KMEM_ACTIVE: u64 = 1 << 0;
const KMEM_DEAD: u64 = 1 << 1;
/// `mem_cgroup.refcnt` and `.swappiness`, which is a percentage.
const REFCNT: u32 = 372;
const SWAPPINESS: u32 = 376;
const SWAPPINESS_MAX: u32 = 100;
/// Possible offsets of `mem_cgroup.tcp_mem`, which begins with its `cg_proto`.
const TCP_MEM: std::ops::Range<u32> = 384..720;
/// `cg_proto.memory_allocated`, `.flags` and `.memcg`.
const PROTO_ALLOCATED: u32 = 8;
const PROTO_FLAGS: u32 = 40;
const PROTO_MEMCG: u32 = 48;
/// `tcp_memcontrol.tcp_memory_allocated`
const TCP_ALLOCATED: u32 = 56;
/// `tcp_memcontrol.tcp_sockets_allocated.counters`
const TCP_SOCKETS_COUNTERS: u32 = 112;
/// Number of bytes of a memcg that contain all of these.
pub const LENGTH: usize = 832;
/// Deactivated csses count from here (`CSS_DEACT_BIAS`).
const CSS_DEACTIVATED: i32 = i32::MIN;
/// More references than a memcg has: the offset is not that of a count.
const REFS_MAX: u32 = 1 << 24;

/// The members of one memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemcgMembers {
    pub refs: u32,
    css_refs: i32,
    memory: PageCounter,
    memsw: PageCounter,
    kmem: PageCounter,
    kmem_flags: u64,
    swappiness: u32,
    tcp: Option<TcpMembers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PageCounter {
    pages: u64,
    limit: u64,
    parent: u64,
}

/// Of `tcp_mem`; found by what points back into the memcg. The root has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TcpMembers {
    flags: u64,
    /// Freed by css_free (`kmem_cgroup_destroy`).
    counters: u64,
}

/// Pages of a memcg that are not those of its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnPages {
    pub swapped: u64,
    pub kernel: u64,
}

impl MemcgMembers {
    pub fn of(memcg: u64, bytes: &Struct<Vec<u8>>) -> Option<Self> {
        let counter = |at: u32| -> Option<PageCounter> {
            let member = |offset| bytes.get(at + offset);
            Some(PageCounter {
                pages: member(0)?,
                limit: member(COUNTER_LIMIT)?,
                parent: member(COUNTER_PARENT)?,
            })
        };
        Some(Self {
            refs: bytes.get(REFCNT)?,
            css_refs: bytes.get(CSS_REFCNT)?,
            memory: counter(MEMORY)?,
            memsw: counter(MEMSW)?,
            kmem: counter(KMEM)?,
            kmem_flags: bytes.get(KMEM_FLAGS)?,
            swappiness: bytes.get(SWAPPINESS)?,
            tcp: TcpMembers::of(memcg, bytes),
        })
    }

    /// Whether the root reads as nothing but the root can: the counters are where they should be, and so is what follows.
    pub fn prove_root(&self) -> bool {
        let counters = [self.memory, self.memsw, self.kmem];
        counters.iter().all(|counter| counter.limit == NO_LIMIT && counter.parent == 0) && self.is_possible(0)
    }

    /// Whether what was read as a count can be one: at least a reference for each slab cache.
    pub fn is_possible(&self, caches: u64) -> bool {
        (1..REFS_MAX).contains(&self.refs)
            && u64::from(self.refs) >= caches
            && self.swappiness <= SWAPPINESS_MAX
            && self.kmem_flags & !(KMEM_ACTIVE | KMEM_DEAD) == 0
    }

    /// Address of the memcg to whose counters its own are added; `None`: to none (`use_hierarchy` is off).
    pub fn parent(&self) -> Option<u64> {
        (self.memory.parent != 0).then(|| self.memory.parent.wrapping_sub(MEMORY.into()))
    }

    /// Pages that its counters have, those of its children included.
    pub fn pages(&self) -> OwnPages {
        // Without accounting of swap the second counter is 0.
        let swapped = self.memsw.pages.saturating_sub(self.memory.pages);
        OwnPages { swapped, kernel: self.kmem.pages }
    }

    /// css_free did not come: the css still has its own reference. `false`: it did, or it cannot be told.
    pub fn has_css(&self) -> bool {
        self.tcp.is_some_and(|tcp| tcp.counters != 0)
    }

    /// Whether sockets may have been charged to it: only if they ever had a limit (`memory.kmem.tcp.limit_in_bytes`).
    pub fn may_have_sockets(&self) -> bool {
        self.tcp.is_none_or(|tcp| tcp.flags != 0)
    }

    /// Its references that are no slab caches and no children; `name`: of its directory.
    pub fn references(&self, id: u16, own: OwnPages, name: Option<Box<[u8]>>) -> Vec<Reference> {
        let mut references = Vec::new();
        // Taken when accounting begins. If there is kernel memory when css_free comes it is marked as dead, and the last page gives
        // it back; else css_free does.
        let accounted = self.kmem_flags & if self.has_css() { KMEM_ACTIVE } else { KMEM_DEAD } != 0;
        let with_css = self.has_css() && self.kmem.pages == 0;
        if accounted && !with_css {
            let folios = Folios { folios: own.kernel, pages: own.kernel, ..Folios::default() };
            references.push(one(Thing::KernelMemory { folios }));
        }
        // A css that nobody refers to any more waits for its directory alone.
        if self.has_css() && self.css_refs == CSS_DEACTIVATED {
            let refs = 1 + u64::from(accounted && with_css);
            references.push(Reference { refs, thing: Thing::Directory { name }, holders: Vec::new() });
        }
        if own.swapped > 0 {
            let thing = Thing::Swap { id, entries: Some(own.swapped), devices: Vec::new() };
            references.push(Reference { refs: own.swapped, thing, holders: Vec::new() });
        }
        references
    }
}

impl TcpMembers {
    fn of(memcg: u64, bytes: &Struct<Vec<u8>>) -> Option<Self> {
        let points_back = |at: &u32| {
            let allocated = memcg.wrapping_add((*at + TCP_ALLOCATED).into());
            bytes.get(*at + PROTO_MEMCG) == Some(memcg) && bytes.get(*at + PROTO_ALLOCATED) == Some(allocated)
        };
        let at = TCP_MEM.step_by(8).find(points_back)?;
        Some(Self { flags: bytes.get(at + PROTO_FLAGS)?, counters: bytes.get(at + TCP_SOCKETS_COUNTERS)? })
    }
}

impl std::ops::Sub for OwnPages {
    type Output = Self;

    fn sub(self, of_child: Self) -> Self {
        Self {
            swapped: self.swapped.saturating_sub(of_child.swapped),
            kernel: self.kernel.saturating_sub(of_child.kernel),
        }
    }
}

pub fn one(thing: Thing) -> Reference {
    Reference { refs: 1, thing, holders: Vec::new() }
}
