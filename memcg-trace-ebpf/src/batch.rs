//! Many addresses in one run.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str},
    macros::map,
    maps::Array,
};
use memcg_trace_common::{Answers, BATCH, READ_MAX, Requests};

use crate::on_demand::on_demand;

/// The loader maps both into its memory.
#[map]
static REQUESTS: Array<Requests> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static ANSWERS: Array<Answers> = Array::with_max_entries(1, BPF_F_MMAPABLE);

on_demand! {
    /// Reads what `REQUESTS` asks for into `ANSWERS`, each independent of the others.
    fn read_batch(_ctx) = read_all();
}

#[inline(always)]
fn read_all() -> Option<()> {
    let requests = REQUESTS.get(0)?;
    // SAFETY: the loader runs one test run at a time, nobody else writes this value.
    let answers = unsafe { &mut *ANSWERS.get_ptr_mut(0)? };
    let mut index = 0;
    loop {
        if index as u64 == requests.count {
            break;
        }
        let request = requests.requests.get(index)?;
        let bytes = answers.bytes.get_mut(index)?.as_mut_ptr().cast();
        let length = request.length.min(READ_MAX as u32);
        let from = request.address as *const _;
        *answers.lengths.get_mut(index)? = if request.string == 0 {
            // SAFETY: probe_read tolerates any address; it writes as much as there is room for, at most.
            let failed = unsafe { bpf_probe_read_kernel(bytes, length, from) };
            if failed == 0 { i64::from(length) } else { failed }
        } else {
            // SAFETY: as above.
            unsafe { bpf_probe_read_kernel_str(bytes, length, from) }
        };
        index += 1;
        if index == BATCH {
            break;
        }
    }
    Some(())
}
