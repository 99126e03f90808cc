//! The walk through the table of all csses of the memory subsystem, one leaf a run.

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_ktime_get_ns},
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use memcg_trace_common::{
    ABSENT, Charges, Field, Hook, KINDS, LEAF_SLOTS, Leaf, TABLE_LEVELS, WalkLayout, Walked,
};

use crate::{facts::Facts, memory::read};

#[map]
static WALK_LAYOUT: Array<WalkLayout> = Array::with_max_entries(1, 0);
#[map]
static LEAF: Array<Leaf> = Array::with_max_entries(1, 0);

/// Bits that an index takes in one level of the table (`XA_CHUNK_SHIFT`).
const CHUNK_SHIFT: u32 = 6;
const CHUNK_MASK: u64 = LEAF_SLOTS as u64 - 1;

/// Reads the leaf that holds css id `arg(0)`. Runs inside one RCU section (test runs of raw tracepoints hold
/// rcu_read_lock), so whatever is found in the table stays allocated until the end.
#[raw_tracepoint]
pub fn walk(ctx: RawTracePointContext) -> i32 {
    read_leaf(ctx.arg(0)).map_or(1, |()| 0)
}

#[inline(always)]
fn read_leaf(id: u64) -> Option<()> {
    let layout = WALK_LAYOUT.get(0)?;
    // SAFETY: the loader runs one test run at a time, nobody else writes this value.
    let leaf = unsafe { &mut *LEAF.get_ptr_mut(0)? };
    leaf.count = 0;
    leaf.last = 1;
    leaf.unreadable = 0;
    // SAFETY: the helper takes no arguments.
    let t_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: as above.
    let task = unsafe { bpf_get_current_task() };
    let css_set: u64 = read(task, layout.layout.task_cgroups)?.ok()?;
    let css: u64 = read(css_set, layout.layout.css_set_memory)?.ok()?;
    let subsystem: u64 = read(css, layout.layout.css_ss)?.ok()?;
    let mut node = inner_node(read(subsystem, layout.css_idr)?.ok()?)?;
    let mut shift = u32::from(read::<u8>(node, layout.xa_shift)?.ok()?);
    if shift >= CHUNK_SHIFT * TABLE_LEVELS || id >> shift > CHUNK_MASK {
        return Some(());
    }
    leaf.last = 0;
    for _ in 1..TABLE_LEVELS {
        if shift == 0 {
            break;
        }
        let slot = (id >> shift) & CHUNK_MASK;
        let Some(below) = inner_node(read(node, layout.xa_slots + 8 * slot as u32)?.ok()?) else {
            // Nothing below this slot: go on behind it.
            leaf.next = ((id >> shift) + 1) << shift;
            return Some(());
        };
        node = below;
        shift = u32::from(read::<u8>(node, layout.xa_shift)?.ok()?) & 31;
    }
    leaf.next = (id | CHUNK_MASK) + 1;
    let mut slot = 0;
    loop {
        let css: u64 = read(node, layout.xa_slots + 8 * slot)?.ok()?;
        // Otherwise empty, or reserved for a css that is being made (`XA_ZERO_ENTRY`).
        if css != 0 && css & 3 == 0 {
            // The count is bounded by the loop; the verifier wants to see it.
            let walked = leaf.memcgs.get_mut(leaf.count as usize)?;
            leaf.unreadable += fill(walked, css, layout, t_ns);
            leaf.count += 1;
        }
        slot += 1;
        if slot == LEAF_SLOTS as u32 {
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

/// How many members could not be read.
#[inline(always)]
fn fill(walked: &mut Walked, css: u64, layout: &WalkLayout, t_ns: u64) -> u64 {
    let header = &mut walked.event.header;
    header.t_ns = t_ns;
    header.seq = 0;
    header.hook = Hook::Walk as u16;
    header.cpu = 0;
    header.pid = 0;
    header.tgid = 0;
    header.comm = [0; 16];
    header.known = 0;
    header.name_len = 0;
    let mut facts = Facts { event: &mut walked.event, layout: &layout.layout, unreadable: 0 };
    facts.css(css);
    charges(&mut walked.charges, &mut facts, css, layout);
    if is_empty(&mut facts, css, layout) == Some(true) {
        facts.event.header.known |= Field::EMPTY;
    }
    facts.unreadable
}

/// Neither a process nor a cgroup below: populated descendants need no look, there are none.
#[inline(always)]
fn is_empty(facts: &mut Facts<'_>, css: u64, layout: &WalkLayout) -> Option<bool> {
    let cgroup: u64 = facts.read(css, layout.layout.css_cgroup)?;
    let descendants: u32 = facts.read(cgroup, layout.cgroup_descendants)?;
    let populated: u32 = facts.read(cgroup, layout.cgroup_populated)?;
    Some(descendants == 0 && populated == 0)
}

#[inline(always)]
fn charges(charges: &mut Charges, facts: &mut Facts<'_>, css: u64, layout: &WalkLayout) {
    charges.known = 0;
    if let Some(pages) = facts.read(css, layout.swap) {
        charges.swap_pages = pages;
        charges.known |= Charges::SWAP;
    }
    if let Some(pages) = facts.read(css, layout.kmem) {
        charges.kmem_pages = pages;
        charges.known |= Charges::KMEM;
    }
    if let Some(pages) = facts.read(css, layout.tcpmem) {
        charges.tcpmem_pages = pages;
        charges.known |= Charges::TCPMEM;
    }
    if layout.vmstats == ABSENT {
        return;
    }
    let counters = if layout.state == ABSENT {
        css + u64::from(layout.vmstats)
    } else {
        match facts.read::<u64>(css, layout.vmstats) {
            Some(vmstats) if vmstats != 0 => vmstats + u64::from(layout.state),
            _ => return,
        }
    };
    for kind in 0..KINDS {
        if let Some(value) = facts.read(counters, layout.kinds[kind]) {
            charges.kinds[kind] = value;
            charges.known |= 1 << kind;
        }
    }
}
