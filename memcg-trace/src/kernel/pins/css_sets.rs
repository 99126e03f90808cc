//! css_sets that have a memcg, a reference each: for as long as a task is in them, reaped or not, or a cgroup namespace has one
//! of them as its root.

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::ABSENT;

use super::{pass::Pass, tasks::Tasks};
use crate::{
    cause::{Holder, Thing},
    kernel::memory::{Lists, MemoryError},
};

/// More css_sets than one cgroup can be in.
const CSS_SETS_MAX: usize = 1 << 20;

/// By css_set: the memcg that it has, and who has it.
pub(super) type CssSets = HashMap<u64, (usize, Vec<Holder>)>;

/// The css_sets of the pass's memcgs, and the tasks that are in them.
pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<CssSets, MemoryError> {
    let layout = pass.layout.css_set;
    let css_sets = pass.layout.cgroup.css_sets;
    if [layout.memory, layout.in_cgroup, css_sets].contains(&ABSENT) {
        pass.unread("css_sets", "BTF does not describe them");
        return Ok(CssSets::new());
    }
    let csses = pass.memcgs.csses();
    let cgroups = pass.memory.pointers(&csses, pass.walk.layout.css_cgroup)?;
    let head = |cgroup: u64| if cgroup == 0 { 0 } else { cgroup.wrapping_add(css_sets.into()) };
    let heads: Vec<u64> = cgroups.into_iter().map(head).collect();
    let lists = pass.memory.lists(&heads, Lists { node: layout.in_cgroup, limit: CSS_SETS_MAX })?;
    if lists.iter().zip(&heads).any(|(listed, head)| *head != 0 && !listed.complete) {
        pass.unread("some css_sets", "their list changed while it was read; look again");
    }
    // Two memcgs of one cgroup have the same list.
    let mut found: Vec<u64> = lists.into_iter().flat_map(|listed| listed.entries).collect();
    found.sort_unstable();
    found.dedup();
    let memcgs = pass.memory.pointers(&found, layout.memory)?;
    let mut by_css_set = CssSets::new();
    for (css_set, memcg) in found.into_iter().zip(memcgs) {
        if let Some(memcg) = pass.memcgs.at(memcg) {
            by_css_set.insert(css_set, (memcg, Vec::new()));
        }
    }
    for task in tasks.iter() {
        if let Some((_, holders)) = by_css_set.get_mut(&task.css_set) {
            holders.push(tasks.holder(task));
        }
    }
    Ok(by_css_set)
}

/// Tells them, when all are known who have one.
pub(super) fn refer(pass: &mut Pass<'_>, css_sets: CssSets) {
    let mut css_sets: Vec<_> = css_sets.into_iter().collect();
    css_sets.sort_unstable_by_key(|(css_set, _)| *css_set);
    for (_, (memcg, mut holders)) in css_sets {
        holders.sort_unstable();
        holders.dedup();
        pass.refer(memcg, 1, Thing::CssSet, holders);
    }
}
