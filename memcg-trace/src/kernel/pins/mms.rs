//! Address spaces that MGLRU keeps on a memcg's list, a reference each (`lru_gen_add_mm`, mm/vmscan.c).

use memcg_trace_common::ABSENT;

use super::{pass::Pass, tasks::Tasks};
use crate::{
    cause::{Holder, Thing},
    kernel::memory::{Lists, MemoryError},
};

/// More than there can be processes.
const MMS_MAX: usize = 1 << 22;

pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<(), MemoryError> {
    let (list, mm) = (pass.layout.mm_list, pass.layout.mm);
    if [list.mms, mm.node, mm.memcg].contains(&ABSENT) {
        // No MGLRU.
        return Ok(());
    }
    let csses = pass.memcgs.csses();
    let heads: Vec<u64> = csses.iter().map(|css| css.wrapping_add(list.mms.into())).collect();
    let lists = pass.memory.lists(&heads, Lists { node: mm.node, limit: MMS_MAX })?;
    let by_mm = tasks.by(|task| task.mm);
    for (memcg, listed) in lists.into_iter().enumerate() {
        let owners = pass.memory.pointers(&listed.entries, mm.memcg)?;
        for (mm, owner) in listed.entries.into_iter().zip(owners) {
            if owner == csses[memcg] {
                let tasks_of = by_mm.get(&mm).into_iter().flatten();
                let mut holders: Vec<Holder> = tasks_of.map(|task| tasks.holder(task)).collect();
                holders.sort_unstable();
                holders.dedup();
                pass.refer(memcg, 1, Thing::Mm, holders);
            }
        }
    }
    Ok(())
}
