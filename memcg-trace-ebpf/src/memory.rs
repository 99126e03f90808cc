//! Reads of kernel memory through the layout.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use memcg_trace_common::ABSENT;

/// The member at `offset` of the struct at `base`. `None`: this kernel has no such member, or `base` is NULL; an error:
/// the read faulted.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u32) -> Option<Result<T, i32>> {
    if base == 0 || offset == ABSENT {
        return None;
    }
    // SAFETY: probe_read tolerates any address.
    Some(unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) })
}
