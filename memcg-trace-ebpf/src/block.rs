//! One large block in one run.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::generated::bpf_probe_read_kernel, macros::map, maps::Array,
};
use memcg_trace_common::Block;

use crate::on_demand::on_demand;

/// The loader maps it into its memory.
#[map]
static BLOCK: Array<Block> = Array::with_max_entries(1, BPF_F_MMAPABLE);

on_demand! {
    /// Reads `BLOCK` from `arg(0)` on; none of it, if not all of it can be read.
    fn read_block(ctx) = read(ctx.arg(0));
}

#[inline(always)]
fn read(address: u64) -> Option<()> {
    // SAFETY: the loader runs one test run at a time, nobody else writes this value.
    let block = unsafe { &mut *BLOCK.get_ptr_mut(0)? };
    let size = size_of_val(block) as u32;
    // SAFETY: probe_read tolerates any address; it writes as much as there is room for.
    let failed = unsafe { bpf_probe_read_kernel(block.bytes.as_mut_ptr().cast(), size, address as *const _) };
    (failed == 0).then_some(())
}
