//! Reads our own task through the layout, to prove that it describes the running kernel.

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_probe_read_kernel_str_bytes},
    macros::map,
    maps::Array,
};
use memcg_trace_common::{Layout, OWN_LEVELS, Own, PathStep};

use crate::{
    facts::{Beginning, Facts},
    memory::read,
    on_demand::on_demand,
};

#[map]
static LAYOUT: Array<Layout> = Array::with_max_entries(1, 0);
#[map]
static OWN: Array<Own> = Array::with_max_entries(1, 0);
/// Of the root's css.
#[map]
static BEGINNING: Array<Beginning> = Array::with_max_entries(1, 0);
/// Names from the task's cgroup up to the root of the hierarchy.
#[map]
static OWN_PATH: Array<PathStep> = Array::with_max_entries(OWN_LEVELS, 0);

on_demand! {
    /// Follows `current -> css_set -> css of the memory controller -> cgroup -> kernfs_node`, and both parents to the
    /// root. Stops where a pointer is NULL or unreadable; `Own::levels` is the number of levels read.
    fn own_cgroup(_ctx) = follow();
}

#[inline(always)]
fn follow() -> Option<()> {
    let layout = LAYOUT.get(0)?;
    // SAFETY: the loader runs one test run at a time, nothing else writes these values.
    let own = unsafe { &mut *OWN.get_ptr_mut(0)? };
    own.levels = 0;
    own.complete = 0;
    own.controller[0] = 0;
    own.root_css.header.known = 0;
    // SAFETY: the helper takes no arguments.
    let task = unsafe { bpf_get_current_task() };
    let css_set: u64 = read(task, layout.task_cgroups)?.ok()?;
    own.css = read(css_set, layout.css_set_memory)?.ok()?;
    own.serial = read(own.css, layout.css_serial)?.ok()?;
    let subsystem: u64 = read(own.css, layout.css_ss)?.ok()?;
    let controller: u64 = read(subsystem, layout.ss_name)?.ok()?;
    // SAFETY: probe_read tolerates any address.
    unsafe { bpf_probe_read_kernel_str_bytes(controller as *const u8, &mut own.controller) }.ok()?;
    let cgroup: u64 = read(own.css, layout.css_cgroup)?.ok()?;
    own.root = read(cgroup, layout.cgroup_root)?.ok()?;
    let mut kn: u64 = read(cgroup, layout.cgroup_kn)?.ok()?;
    own.cgroup_id = layout.inode_number(read(kn, layout.kn_id)?.ok()?);
    let mut css = own.css;
    for _ in 0..OWN_LEVELS {
        let parent: u64 = read(css, layout.css_parent)?.ok()?;
        if parent == 0 {
            break;
        }
        css = parent;
    }
    // SAFETY: as above.
    let beginning = unsafe { &mut *BEGINNING.get_ptr_mut(0)? };
    Facts { event: &mut own.root_css, layout, beginning, unreadable: &mut 0 }.css(css);
    for level in 0..OWN_LEVELS {
        // SAFETY: as above.
        let step = unsafe { &mut *OWN_PATH.get_ptr_mut(level)? };
        let name: u64 = read(kn, layout.kn_name)?.ok()?;
        // SAFETY: probe_read tolerates any address.
        let bytes = unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, &mut step.name) }.ok()?;
        step.length = bytes.len() as u32;
        own.levels = level + 1;
        kn = read(kn, layout.kn_parent)?.ok()?;
        if kn == 0 {
            own.complete = 1;
            break;
        }
    }
    Some(())
}
