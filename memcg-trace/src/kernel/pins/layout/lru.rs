//! LRU lists of memcgs.

use memcg_trace_common::ABSENT;

use super::offsets;
use crate::kernel::layout::Types;

/// More lists of either kind than a memcg has: a BTF file may say any number.
const LISTS_MAX: u32 = 256;
/// Bytes of a `struct list_head`.
const HEAD: u32 = 16;

offsets! {
    /// A memcg has one for each memory node.
    NodeOffsets of "mem_cgroup_per_node" {
        memcg: "memcg",
        lists: "lruvec.lists",
        /// MGLRU's lists (6.1), by generation, type and zone; `lists` in its first release.
        generations: "lruvec.lrugen.folios" | "lruvec.lrugen.lists",
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct NodeLayout {
    pub offsets: NodeOffsets,
    /// `mem_cgroup.nodeinfo`, a pointer for each node of memory.
    pub nodes: u32,
    /// Number of classic lists that can be followed.
    classic: u32,
    /// Number of MGLRU lists.
    generations: u32,
}

impl NodeLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let offsets = NodeOffsets::of(types);
        // `mlock_count` took the place of `lru.prev` (07ca76067308, 5.18): the unevictable list is none since then.
        let unevictable = types.offset("folio", "mlock_count").or(types.offset("page", "mlock_count"));
        let last = if unevictable.is_some() { "LRU_UNEVICTABLE" } else { "NR_LRU_LISTS" };
        let generations = ["lru_gen_folio", "lru_gen_struct"].into_iter().find_map(|name| {
            types.array_length(name, "folios").or_else(|| types.array_length(name, "lists"))
        });
        Self {
            offsets,
            nodes: types.optional("mem_cgroup", "nodeinfo"),
            classic: types.enum_value("lru_list", last).unwrap_or(0).min(LISTS_MAX),
            generations: generations.map_or(0, |lists| lists as u32).min(LISTS_MAX),
        }
    }

    /// Offsets of all list heads in a `struct mem_cgroup_per_node`.
    pub fn heads(&self) -> Vec<u32> {
        let at = |start: u32, lists: u32| {
            (0..lists).filter(move |_| start != ABSENT).map(move |list| start.saturating_add(HEAD * list))
        };
        at(self.offsets.lists, self.classic).chain(at(self.offsets.generations, self.generations)).collect()
    }
}
