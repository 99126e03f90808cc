//! One large block in one run.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_probe_read_kernel,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use memcg_trace_common::Block;

/// The loader maps it into its memory.
#[map]
static BLOCK: Array<Block> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Reads `BLOCK` from `arg(0)` on; none of it, if not all of it can be read.
#[raw_tracepoint]
pub fn read_block(ctx: RawTracePointContext) -> i32 {
    read(ctx.arg(0)).map_or(1, |()| 0)
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
