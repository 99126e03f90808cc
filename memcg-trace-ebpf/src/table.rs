//! The walk through the table of all csses of the memory subsystem, one leaf per run.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{bpf_get_current_task, bpf_ktime_get_ns, generated::bpf_probe_read_kernel},
    macros::map,
    maps::Array,
};
use memcg_trace_common::{LEAF_SLOTS, Leaf, TABLE_LEVELS, WalkConfig};

use crate::{
    copy::{Parent, copy},
    memory::read,
    on_demand::on_demand,
};

#[map]
static WALK_CONFIG: Array<WalkConfig> = Array::with_max_entries(1, 0);
/// The loader mmaps it: copying each leaf would take longer than reading it.
#[map]
static LEAF: Array<Leaf> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// The slots of the leaf.
#[map]
static SLOTS: Array<[u64; LEAF_SLOTS]> = Array::with_max_entries(1, 0);

/// Bits of the index per level of the table (`XA_CHUNK_SHIFT`).
const CHUNK_SHIFT: u32 = 6;
const CHUNK_MASK: u64 = LEAF_SLOTS as u64 - 1;

on_demand! {
    /// Reads the leaf that holds css id `arg(0)`. Runs inside one RCU section (test runs of raw tracepoints hold
    /// rcu_read_lock), so everything found in the table stays allocated until the end.
    fn walk(ctx) = read_leaf(ctx.arg(0));
}

#[inline(always)]
fn read_leaf(id: u64) -> Option<()> {
    let config = WALK_CONFIG.get(0)?;
    let layout = &config.layout;
    // SAFETY: the loader runs one test run at a time, nothing else writes this value.
    let leaf = unsafe { &mut *LEAF.get_ptr_mut(0)? };
    leaf.count = 0;
    leaf.last = 1;
    // SAFETY: the helper takes no arguments.
    leaf.t_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: as above.
    let task = unsafe { bpf_get_current_task() };
    let css_set: u64 = read(task, layout.layout.task_cgroups)?.ok()?;
    let css: u64 = read(css_set, layout.layout.css_set_memory)?.ok()?;
    let subsystem: u64 = read(css, layout.layout.css_ss)?.ok()?;
    let mut node = inner_node(read(subsystem, layout.css_idr)?.ok()?)?;
    let mut shift = u32::from(read::<u8>(node, layout.xa_shift)?.ok()?);
    // Otherwise this is no node.
    if shift >= CHUNK_SHIFT * TABLE_LEVELS || shift % CHUNK_SHIFT != 0 {
        return None;
    }
    if id >> shift > CHUNK_MASK {
        return Some(());
    }
    leaf.last = 0;
    for _ in 1..TABLE_LEVELS {
        if shift == 0 {
            break;
        }
        let slot = (id >> shift) & CHUNK_MASK;
        let Some(below) = inner_node(read(node, layout.xa_slots + 8 * slot as u32)?.ok()?) else {
            // Nothing below this slot: continue after it.
            leaf.next = ((id >> shift) + 1) << shift;
            return Some(());
        };
        node = below;
        shift -= CHUNK_SHIFT;
        if u32::from(read::<u8>(node, layout.xa_shift)?.ok()?) != shift {
            return None;
        }
    }
    leaf.next = (id | CHUNK_MASK) + 1;
    // SAFETY: as above.
    let slots = unsafe { &mut *SLOTS.get_ptr_mut(0)? };
    let place = (node + u64::from(layout.xa_slots)) as *const _;
    // SAFETY: probe_read tolerates any address; it writes as much as there is room for.
    let copied =
        unsafe { bpf_probe_read_kernel(slots.as_mut_ptr().cast(), size_of_val(slots) as u32, place) };
    if copied != 0 {
        return None;
    }
    let mut parent = Parent::NONE;
    let mut slot = 0;
    loop {
        let css = *slots.get(slot)?;
        // Otherwise empty, as for a css that is being created (`cgroup_idr_alloc` of NULL, kernel/cgroup/cgroup.c), or no pointer.
        if css != 0 && css & 3 == 0 {
            // The count is bounded by the loop, but the verifier needs a check.
            copy(leaf.memcgs.get_mut(leaf.count as usize)?, css, &mut parent, config);
            leaf.count += 1;
        }
        slot += 1;
        if slot == LEAF_SLOTS {
            break;
        }
    }
    Some(())
}

/// `xa_is_node` and `xa_to_node` (include/linux/xarray.h).
#[inline(always)]
fn inner_node(entry: u64) -> Option<u64> {
    (entry & 3 == 2 && entry > 4096).then(|| entry - 2)
}
