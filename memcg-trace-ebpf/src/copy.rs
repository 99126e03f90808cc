//! Copies the first bytes of the structs of a css, for the walk.
//!
//! Members are decoded in user space. Here each would be a helper call, and a branch that the verifier follows again
//! for each css; a few copies take a third of the time to run, and half the time to load. For the same reason nothing here
//! depends on whether a copy succeeded: what is not readable becomes zeros (`bpf_probe_read_kernel_common`,
//! kernel/trace/bpf_trace.c), and what is read by such an address is not readable either.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use memcg_trace_common::{Copied, NAME_WORDS, PERCPU_REF_DEAD, WalkConfig};

use crate::memory::read;

/// The parent of the last css: siblings are often adjacent in the table, and it stays valid during one RCU section.
pub struct Parent {
    css: u64,
    serial: u64,
    cgroup_id: u64,
    copied: u32,
}

impl Parent {
    pub const NONE: Self = Self { css: 0, serial: 0, cgroup_id: 0, copied: 0 };
}

#[inline(always)]
pub fn copy(to: &mut Copied, css: u64, parent: &mut Parent, config: &WalkConfig) {
    let layout = &config.layout.layout;
    let lengths = &config.lengths;
    to.css = css;
    let mut copied = Copied::MEMCG * copy_to(&mut to.memcg, lengths.memcg, css);

    let above = word(&to.memcg, layout.css_parent);
    if above != parent.css {
        *parent = read_parent(above, config);
    }
    to.parent_serial = parent.serial;
    to.parent_cgroup_id = parent.cgroup_id;
    copied |= parent.copied;

    if word(&to.memcg, layout.css_percpu_count_ptr) & PERCPU_REF_DEAD != 0 {
        let data = word(&to.memcg, layout.css_ref_data);
        if let Some(Ok(count)) = read(data, layout.ref_data_count) {
            to.ref_count = count;
            copied |= Copied::REF_COUNT;
        }
    }
    if lengths.counters != 0 {
        let vmstats = word(&to.memcg, config.layout.vmstats);
        copied |= Copied::COUNTERS * copy_to(&mut to.counters, lengths.counters, vmstats);
    }
    copied |= Copied::CGROUP * copy_to(&mut to.cgroup, lengths.cgroup, word(&to.memcg, layout.css_cgroup));
    copied |= Copied::KN * copy_to(&mut to.kn, lengths.kn, word(&to.cgroup, layout.cgroup_kn));
    let name = word(&to.kn, layout.kn_name);
    const SIZE: u32 = (NAME_WORDS * size_of::<u64>()) as u32;
    // SAFETY: probe_read tolerates any address; it writes at most as many bytes as the name has room for.
    let written = unsafe { bpf_probe_read_kernel_str(to.name.as_mut_ptr().cast(), SIZE, name as *const _) };
    to.name_len = (written as u32).wrapping_sub(1);
    to.copied = copied | (Copied::NAME * succeeded(written));
}

#[inline(always)]
fn read_parent(css: u64, config: &WalkConfig) -> Parent {
    let layout = &config.layout.layout;
    let (serial, has_serial) = peek(css, layout.css_serial);
    let (cgroup, _) = peek(css, layout.css_cgroup);
    let (kn, _) = peek(cgroup, layout.cgroup_kn);
    let (id, has_id) = peek(kn, layout.kn_id);
    let copied = (Copied::PARENT_SERIAL * has_serial) | (Copied::PARENT_CGROUP_ID * has_id);
    Parent { css, serial, cgroup_id: layout.inode_number(id), copied }
}

/// A pointer among the words of a struct. If this kernel does not have the member, returns another word, which the
/// loader ignores.
#[inline(always)]
fn word<const N: usize>(words: &[u64; N], offset: u32) -> u64 {
    words[(offset as usize / size_of::<u64>()) & (N - 1)]
}

/// A word of the struct at `base`, and 1; or zeros, where it is not readable. If this kernel does not have the member, returns
/// anything, which the loader ignores.
#[inline(always)]
fn peek(base: u64, offset: u32) -> (u64, u32) {
    let mut value = 0;
    let from = base.wrapping_add(u64::from(offset)) as *const _;
    // SAFETY: probe_read tolerates any address; there is room for a word.
    let result = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<u64>() as u32, from) };
    (value, succeeded(result))
}

/// Copies the first `length` bytes at `address`, less than the buffer has. Returns 1; or 0, and makes them zeros, where they are
/// not readable.
#[inline(always)]
fn copy_to<const N: usize>(words: &mut [u64; N], length: u32, address: u64) -> u32 {
    let length = length & ((N * size_of::<u64>()) as u32 - 1);
    // SAFETY: probe_read tolerates any address; the words have room for the length.
    succeeded(unsafe { bpf_probe_read_kernel(words.as_mut_ptr().cast(), length, address as *const _) })
}

/// 0 for a negative result of a helper, otherwise 1; without a branch.
#[inline(always)]
fn succeeded(result: i64) -> u32 {
    (1 + (result >> 63)) as u32
}
