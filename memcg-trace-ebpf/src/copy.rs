//! Copies the first bytes of the structs of a css, for the walk.
//!
//! Members are decoded in user space. Here each would be a helper call, and a branch that the verifier follows again
//! for each css; a few copies take a third of the time to run, and half the time to load.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use memcg_trace_common::{Copied, NAME_WORDS, WalkConfig};

use crate::memory::read;

/// `percpu_ref.percpu_count_ptr`: the refcount is dying (`__PERCPU_REF_DEAD`, percpu-refcount.h).
const PERCPU_REF_DEAD: u64 = 2;

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
    to.copied = 0;
    to.name_len = 0;
    if !copy_to(&mut to.memcg, lengths.memcg, css) {
        return;
    }
    to.copied |= Copied::MEMCG;

    let above = word(&to.memcg, layout.css_parent);
    if above != parent.css {
        *parent = read_parent(above, config);
    }
    to.parent_serial = parent.serial;
    to.parent_cgroup_id = parent.cgroup_id;
    to.copied |= parent.copied;

    if word(&to.memcg, layout.css_percpu_count_ptr) & PERCPU_REF_DEAD != 0 {
        let data = word(&to.memcg, layout.css_ref_data);
        if let Some(Ok(count)) = read(data, layout.ref_data_count) {
            to.ref_count = count;
            to.copied |= Copied::REF_COUNT;
        }
    }
    if lengths.counters != 0 {
        let vmstats = word(&to.memcg, config.layout.vmstats);
        if copy_to(&mut to.counters, lengths.counters, vmstats) {
            to.copied |= Copied::COUNTERS;
        }
    }
    if !copy_to(&mut to.cgroup, lengths.cgroup, word(&to.memcg, layout.css_cgroup)) {
        return;
    }
    to.copied |= Copied::CGROUP;
    if !copy_to(&mut to.kn, lengths.kn, word(&to.cgroup, layout.cgroup_kn)) {
        return;
    }
    to.copied |= Copied::KN;
    let name = word(&to.kn, layout.kn_name);
    const SIZE: u32 = (NAME_WORDS * size_of::<u64>()) as u32;
    // SAFETY: probe_read tolerates any address; it writes at most as many bytes as the name has room for.
    let written = unsafe { bpf_probe_read_kernel_str(to.name.as_mut_ptr().cast(), SIZE, name as *const _) };
    if written > 0 {
        to.name_len = written as u32 - 1;
        to.copied |= Copied::NAME;
    }
}

#[inline(always)]
fn read_parent(css: u64, config: &WalkConfig) -> Parent {
    let layout = &config.layout.layout;
    let mut parent = Parent { css, ..Parent::NONE };
    if let Some(Ok(serial)) = read(css, layout.css_serial) {
        parent.serial = serial;
        parent.copied |= Copied::PARENT_SERIAL;
    }
    let pointer = |base, offset| read::<u64>(base, offset).and_then(Result::ok);
    let kn = pointer(css, layout.css_cgroup).and_then(|cgroup| pointer(cgroup, layout.cgroup_kn));
    if let Some(id) = kn.and_then(|kn| pointer(kn, layout.kn_id)) {
        parent.cgroup_id = layout.inode_number(id);
        parent.copied |= Copied::PARENT_CGROUP_ID;
    }
    parent
}

/// A pointer among the words of a struct. If this kernel does not have the member, returns another word, which the
/// loader ignores.
#[inline(always)]
fn word<const N: usize>(words: &[u64; N], offset: u32) -> u64 {
    words[(offset as usize / size_of::<u64>()) & (N - 1)]
}

/// Copies the first `length` bytes at `address`, limited by the buffer; returns whether they were readable.
#[inline(always)]
fn copy_to<const N: usize>(words: &mut [u64; N], length: u32, address: u64) -> bool {
    let length = length.min((N * size_of::<u64>()) as u32);
    // SAFETY: probe_read tolerates any address; the words have room for the length.
    address != 0
        && unsafe { bpf_probe_read_kernel(words.as_mut_ptr().cast(), length, address as *const _) } == 0
}
