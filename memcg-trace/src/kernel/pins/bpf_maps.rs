//! bpf maps, a reference each from 5.11 (48edc1f78aab) to 6.0; since then they have an objcg, which is reparented.
//!
//! Those are looked for that a process has a descriptor of, or of a program that uses them.

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::ABSENT;

use super::{
    fds::{OpenFile, OpenFiles},
    pass::Pass,
    tasks::Tasks,
};
use crate::{
    cause::{Holder, Thing},
    kernel::memory::{Members, MemoryError},
};

/// `BPF_OBJ_NAME_LEN`
const NAME: u32 = 16;
/// `MAX_USED_MAPS` (include/linux/bpf_verifier.h)
const MAPS_MAX: u32 = 64;

/// `anon` are the files that are no files, by name.
pub(super) fn read(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    open: &OpenFiles<'_>,
    anon: &[(Box<[u8]>, &OpenFile)],
) -> Result<(), MemoryError> {
    let layout = pass.layout.map;
    if layout.memcg == ABSENT {
        return Ok(());
    }
    let named =
        |wanted: &'static [u8]| anon.iter().filter(move |(name, _)| **name == *wanted).map(|(_, file)| *file);
    let mut holders: HashMap<u64, Vec<Holder>> = HashMap::new();
    for file in named(b"bpf-map") {
        holders.entry(file.private).or_default().extend(open.holders(tasks, file));
    }
    let programs: Vec<&OpenFile> = named(b"bpf-prog").collect();
    let addresses: Vec<u64> = programs.iter().map(|file| file.private).collect();
    let more = pass.memory.pointers(&addresses, pass.layout.program.more)?;
    let used = pass.layout.program_maps;
    let rows = pass.memory.rows(&more, &Members::of(&[used.maps, used.count]))?;
    for (row, file) in programs.into_iter().enumerate() {
        let count = rows.get::<u32>(row, used.count).unwrap_or(0).min(MAPS_MAX);
        let maps = pass.memory.array(rows.pointer(row, used.maps), count as usize)?;
        for map in maps.into_iter().flatten() {
            holders.entry(map).or_default().extend(open.holders(tasks, file));
        }
    }
    let mut maps: Vec<(u64, Vec<Holder>)> = holders.into_iter().collect();
    maps.sort_unstable();
    let addresses: Vec<u64> = maps.iter().map(|(map, _)| *map).collect();
    let members = Members::of(&[layout.memcg, layout.id]).with(layout.name, NAME);
    let rows = pass.memory.rows(&addresses, &members)?;
    for (row, (_, mut holders)) in maps.into_iter().enumerate() {
        if let Some(memcg) = pass.memcgs.at(rows.pointer(row, layout.memcg)) {
            holders.sort_unstable();
            holders.dedup();
            let name = rows.text(row, layout.name, NAME as usize).unwrap_or_default();
            pass.refer(memcg, 1, Thing::BpfMap { id: rows.get(row, layout.id), name }, holders);
        }
    }
    Ok(())
}
