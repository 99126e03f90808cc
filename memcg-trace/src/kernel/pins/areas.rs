//! Processes that map memory: from a file or anonymous memory to the areas (`struct vm_area_struct`) that may map it, and to
//! the processes that have these.

use foldhash::{HashMap, HashSet};
use memcg_trace_common::ABSENT;

use super::{layout::PinLayout, tasks::Tasks};
use crate::{
    cause::{Holder, How},
    kernel::memory::{Members, Memory, MemoryError},
};

/// Areas that are looked at, at most: libc is mapped a few times by every process.
const AREAS_MAX: usize = 1 << 18;

/// Processes that map the files of these mappings (`struct address_space`).
pub(super) fn of_files(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    tasks: &Tasks,
    mappings: &[u64],
) -> Result<Vec<Vec<Holder>>, MemoryError> {
    let roots = memory.pointers(mappings, layout.mapping.areas)?;
    let nodes = memory.trees(&roots, AREAS_MAX)?;
    let areas: Vec<u64> =
        nodes.iter().map(|(_, node)| node.wrapping_sub(layout.area.of_file.into())).collect();
    holders(memory, layout, tasks, mappings.len(), nodes.iter().map(|(tree, _)| *tree), &areas)
}

/// Processes that may map the folios of this anonymous memory (`struct anon_vma`).
pub(super) fn of_anon(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    tasks: &Tasks,
    anons: &[u64],
) -> Result<Vec<Vec<Holder>>, MemoryError> {
    let roots = memory.pointers(anons, layout.anon.links)?;
    let nodes = memory.trees(&roots, AREAS_MAX)?;
    let links: Vec<u64> =
        nodes.iter().map(|(_, node)| node.wrapping_sub(layout.anon_link.node.into())).collect();
    let areas = memory.pointers(&links, layout.anon_link.area)?;
    holders(memory, layout, tasks, anons.len(), nodes.iter().map(|(tree, _)| *tree), &areas)
}

/// Processes by the areas that they have, for each of `wholes` things that these areas are of.
fn holders(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    tasks: &Tasks,
    wholes: usize,
    of: impl Iterator<Item = usize>,
    areas: &[u64],
) -> Result<Vec<Vec<Holder>>, MemoryError> {
    let mut holders = vec![Vec::new(); wholes];
    if layout.area.mm == ABSENT {
        return Ok(holders);
    }
    let mms = memory.rows(areas, &Members::of(&[layout.area.mm]))?.pointers(layout.area.mm);
    let mut by_mm: HashMap<u64, Vec<Holder>> = HashMap::default();
    for (mm, tasks_of) in tasks.by(|task| task.mm) {
        let process =
            |task: &&super::tasks::Thread| Holder { process: Some(tasks.process(task)), how: How::Mapped };
        let mut processes: Vec<Holder> = tasks_of.iter().map(process).collect();
        processes.dedup();
        by_mm.insert(mm, processes);
    }
    // Once for each, however often it is mapped: thousands of processes may share an mm that maps a file thousands of times.
    let pairs: HashSet<(usize, u64)> = of.zip(mms).collect();
    for (whole, mm) in pairs {
        holders[whole].extend(by_mm.get(&mm).into_iter().flatten().cloned());
    }
    for holders in &mut holders {
        holders.sort_unstable();
        holders.dedup();
    }
    Ok(holders)
}
