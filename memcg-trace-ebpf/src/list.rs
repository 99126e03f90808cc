//! Many entries of a circular list in one run, without its lock.
//!
//! The mark makes that safe where entries never go away, only leave (a `struct page`): each step reads an entry anew and
//! stops unless it still carries the mark. An entry that went to another list leads to that one's entries, which either
//! carry the mark, too, or end the run. Between runs the loader keeps the address of a node, and here it is read like any
//! other.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::generated::bpf_probe_read_kernel, macros::map, maps::Array,
};
use memcg_trace_common::{ENTRY_WORDS, Entries, LIST_STEPS, List, ListEnd};

use crate::on_demand::on_demand;

/// The loader maps both into its memory.
#[map]
static LIST: Array<List> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static ENTRIES: Array<Entries> = Array::with_max_entries(1, BPF_F_MMAPABLE);

on_demand! {
    /// Follows `LIST` into `ENTRIES`.
    fn read_list(_ctx) = follow();
}

#[inline(always)]
fn follow() -> Option<()> {
    let list = LIST.get(0)?;
    // SAFETY: the loader runs one test run at a time, nobody else writes this value.
    let entries = unsafe { &mut *ENTRIES.get_ptr_mut(0)? };
    let mut node = list.node;
    let mut index = 0;
    let mut end = ListEnd::More;
    loop {
        if node == list.head {
            end = ListEnd::Head;
            break;
        }
        let entry = entries.entries.get_mut(index)?;
        let from = node.wrapping_sub(list.back) as *const _;
        // SAFETY: probe_read tolerates any address; it writes as much as there is room for.
        let failed =
            unsafe { bpf_probe_read_kernel(entry.as_mut_ptr().cast(), size_of_val(entry) as u32, from) };
        // Both in one branch: the verifier follows no more than 8,192 of them.
        let mark = word(entry, list.mark);
        if failed as u64 | (mark ^ list.value) & list.mask != 0 {
            end = ListEnd::Torn;
            break;
        }
        node = word(entry, list.next);
        index += 1;
        if index == LIST_STEPS {
            break;
        }
    }
    entries.count = index as u32;
    entries.end = end as u32;
    entries.node = node;
    Some(())
}

#[inline(always)]
fn word(entry: &[u64; ENTRY_WORDS], index: u32) -> u64 {
    entry[index as usize & (ENTRY_WORDS - 1)]
}
