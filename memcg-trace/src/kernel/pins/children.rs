//! Memcgs below a dying one: each refers to its parent, whether it lives or not.

use memcg_trace_common::{ABSENT, CssFlag};

use super::pass::Pass;
use crate::{
    cause::Thing,
    event::Key,
    kernel::memory::{Lists, Members, MemoryError},
};

/// More than a memcg can have: css ids have 31 bits, memcg IDs 16, and dying ones may have none.
const CHILDREN_MAX: usize = 1 << 22;

pub(super) fn read(pass: &mut Pass<'_>) -> Result<(), MemoryError> {
    let (css, walk) = (pass.layout.css, &pass.walk.layout);
    if [css.children, css.sibling].contains(&ABSENT) {
        pass.unread("children", "BTF does not describe them");
        return Ok(());
    }
    let heads: Vec<u64> =
        pass.memcgs.csses().into_iter().map(|address| address.wrapping_add(css.children.into())).collect();
    let lists = pass.memory.lists(&heads, Lists { node: css.sibling, limit: CHILDREN_MAX })?;
    let children: Vec<(usize, u64)> = lists
        .into_iter()
        .enumerate()
        .flat_map(|(memcg, listed)| listed.entries.into_iter().map(move |child| (memcg, child)))
        .collect();
    let addresses: Vec<u64> = children.iter().map(|(_, child)| *child).collect();
    let rows =
        pass.memory.rows(&addresses, &Members::of(&[walk.css_serial, walk.css_flags, walk.css_cgroup]))?;
    let cgroups = rows.pointers(walk.css_cgroup);
    let names = pass.memory.chase(&cgroups, &[walk.cgroup_kn, walk.kn_name])?;
    let names = pass.memory.strings(&names)?;
    for (row, ((memcg, address), name)) in children.into_iter().zip(names).enumerate() {
        let Some(serial) = rows.get(row, walk.css_serial) else { continue };
        let dying = rows.get::<u32>(row, walk.css_flags).map(|flags| flags & CssFlag::ONLINE == 0);
        let key = Key { css: address, serial };
        pass.refer(memcg, 1, Thing::Child { key, name, dying }, Vec::new());
    }
    Ok(())
}
