//! The number of bytes of each struct that have to be read to get all wanted members.

use memcg_trace_common::{
    ABSENT, CGROUP_WORDS, COUNTER_WORDS, KN_WORDS, LEAF_SLOTS, Lengths, MEMCG_WORDS, WalkLayout,
};

/// Bytes of a struct: slab allocations are no longer than that by far.
const STRUCT_MAX: u32 = 1 << 16;

pub fn of(walk: &WalkLayout) -> Lengths {
    let layout = &walk.layout;
    let kinds = length(&walk.kinds);
    // The counters are in the memcg itself or behind a pointer.
    let (inside, behind) = match (kinds, walk.vmstats, walk.state) {
        (0, _, _) | (_, ABSENT, _) => (0, 0),
        (kinds, vmstats, ABSENT) => (vmstats.saturating_add(kinds), 0),
        (kinds, _, state) => (0, state.saturating_add(kinds)),
    };
    let memcg = length(&[
        layout.css_cgroup,
        layout.css_ss,
        layout.css_percpu_count_ptr,
        layout.css_ref_data,
        layout.css_ref_count,
        layout.css_id,
        layout.css_flags,
        layout.css_serial,
        layout.css_parent,
        layout.memcg_id,
        layout.memcg_id_ref,
        layout.memcg_usage,
        walk.swap,
        walk.kmem,
        walk.tcpmem,
        walk.vmstats,
    ]);
    Lengths {
        memcg: memcg.max(inside),
        counters: behind,
        cgroup: length(&[
            layout.cgroup_level,
            layout.cgroup_kn,
            walk.cgroup_descendants,
            walk.cgroup_populated,
        ]),
        kn: length(&[layout.kn_id, layout.kn_name]),
    }
}

/// Bytes of a node of the table of csses.
pub fn of_node(walk: &WalkLayout) -> usize {
    length(&[walk.xa_shift, walk.xa_slots.saturating_add(8 * (LEAF_SLOTS as u32 - 1))]) as usize
}

/// Whether the program's buffers are larger than that: it masks lengths by their size, a power of two.
pub fn fit(lengths: &Lengths) -> bool {
    let rooms = [
        (lengths.memcg, MEMCG_WORDS),
        (lengths.counters, COUNTER_WORDS),
        (lengths.cgroup, CGROUP_WORDS),
        (lengths.kn, KN_WORDS),
    ];
    rooms.into_iter().all(|(length, words)| (length as usize) < words * size_of::<u64>())
}

/// Whether kernels have structs of that size: a layout of another kernel may say anything.
pub fn are_possible(lengths: &Lengths, node: usize) -> bool {
    let Lengths { memcg, counters, cgroup, kn } = *lengths;
    [memcg, counters, cgroup, kn].into_iter().all(|length| length <= STRUCT_MAX)
        && node <= STRUCT_MAX as usize
}

/// End of the last member; no member is longer than a word.
fn length(offsets: &[u32]) -> u32 {
    let present = offsets.iter().filter(|offset| **offset != ABSENT);
    present.max().map_or(0, |farthest| farthest.saturating_add(size_of::<u64>() as u32))
}
