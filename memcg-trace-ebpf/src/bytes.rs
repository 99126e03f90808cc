//! Reads bytes at an address, which the loader got from a symbol.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_buf,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use memcg_trace_common::Bytes;

#[map]
static BYTES: Array<Bytes> = Array::with_max_entries(1, 0);

/// Reads the bytes at `arg(0)`.
#[raw_tracepoint]
pub fn bytes_at(ctx: RawTracePointContext) -> i32 {
    read(ctx.arg(0)).map_or(1, |()| 0)
}

#[inline(always)]
fn read(address: u64) -> Option<()> {
    // SAFETY: the loader runs one test run at a time, nothing else writes this value.
    let read = unsafe { &mut *BYTES.get_ptr_mut(0)? };
    // SAFETY: probe_read tolerates any address.
    unsafe { bpf_probe_read_kernel_buf(address as *const u8, &mut read.bytes) }.ok()
}
