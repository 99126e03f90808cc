//! Csses, cgroups and css_sets.

use memcg_trace_common::ABSENT;

use super::offsets;
use crate::kernel::layout::Types;

offsets! {
    CssLayout of "cgroup_subsys_state" {
        children: "children",
        /// The node in the list of the parent's children.
        sibling: "sibling",
    }
}

/// `struct css_set`
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct CssSetLayout {
    /// `css_set.subsys[memory_cgrp_id]`
    pub memory: u32,
    /// `css_set.e_cset_node[memory_cgrp_id]`: the node in the list of its cgroup's css_sets.
    pub in_cgroup: u32,
    pub tasks: u32,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct CgroupLayout {
    /// `cgroup.e_csets[memory_cgrp_id]`: the list of css_sets whose memory css may be the cgroup's.
    pub css_sets: u32,
    /// `cgroup_root.cgrp`
    pub of_root: u32,
}

impl CssSetLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let memory = types.enum_value("cgroup_subsys_id", "memory_cgrp_id");
        let slot = |member, size: u32| {
            memory.and_then(|id| types.offset("css_set", member)?.checked_add(size.checked_mul(id)?))
        };
        Self {
            memory: slot("subsys", 8).unwrap_or(ABSENT),
            in_cgroup: slot("e_cset_node", 16).unwrap_or(ABSENT),
            tasks: types.optional("css_set", "tasks"),
        }
    }
}

impl CgroupLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let memory = types.enum_value("cgroup_subsys_id", "memory_cgrp_id");
        let css_sets =
            memory.and_then(|id| types.offset("cgroup", "e_csets")?.checked_add(id.checked_mul(16)?));
        Self { css_sets: css_sets.unwrap_or(ABSENT), of_root: types.optional("cgroup_root", "cgrp") }
    }
}
