//! The memcg ID of a dying memcg, which its swap entries hold: a reference in all, however many entries there are
//! (`mem_cgroup_id_get_many`, mm/memcontrol.c).
//!
//! Which device an entry is on, the kernel's records of swap entries say alone, and there is no way to these without symbols.
//! Where they cannot be read and there is one device, it is that. What is swapped out is a page of a file on a tmpfs or of a
//! process: in the xarray of the one and in the page tables of the other there is the entry.

mod devices;
mod page_tables;
mod records;
mod shmem;

use foldhash::HashMap;

use self::records::Records;
use super::{mounts::Mounts, pass::Pass, tasks::Tasks};
use crate::{
    cause::{File, Holder, How, Process, SwapDevice, Thing},
    kernel::memory::{Members, MemoryError},
};

/// What the entries of a memcg on a device belong to.
#[derive(Debug, Default)]
struct SwapOwners {
    files: Vec<(File, u64)>,
    processes: Vec<(Process, u64)>,
}

/// By memcg and device.
type SwapOwnersOf = HashMap<(usize, usize), SwapOwners>;

pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks, mounts: &mut Mounts) -> Result<(), MemoryError> {
    let layout = pass.walk.layout;
    let csses = pass.memcgs.csses();
    let rows = pass.memory.rows(&csses, &Members::of(&[layout.memcg_id, layout.memcg_id_ref]))?;
    let held = |memcg: usize| {
        let id: u16 = rows.get(memcg, layout.memcg_id).filter(|id| *id != 0)?;
        let entries: u32 = rows.get(memcg, layout.memcg_id_ref).filter(|entries| *entries != 0)?;
        Some((memcg, id, u64::from(entries)))
    };
    let held: Vec<(usize, u16, u64)> = (0..csses.len()).filter_map(held).collect();
    if held.is_empty() {
        return Ok(());
    }
    let devices = devices::listed();
    let memcgs = held.iter().map(|(memcg, id, _)| (*id, *memcg)).collect();
    let records = Records::read(pass, &devices, &memcgs)?;
    let mut owners = SwapOwnersOf::default();
    if let Some(records) = &records {
        let of_files = shmem::read(pass, records, mounts, &mut owners)?;
        let left = records.entries().saturating_sub(of_files);
        page_tables::read(pass, tasks, records, left, &mut owners)?;
    }
    for (memcg, id, entries) in held {
        let mut of_memcg = Vec::new();
        for (number, device) in devices.iter().enumerate() {
            let recorded = records.as_ref().map(|records| records.count(memcg, number));
            let SwapOwners { files, processes } = owners.remove(&(memcg, number)).unwrap_or_default();
            let entries = if devices.len() == 1 { entries } else { recorded.unwrap_or(0) };
            if entries > 0 {
                of_memcg.push(SwapDevice { device: device.name.clone(), entries, files, processes });
            }
        }
        let processes = of_memcg.iter().flat_map(|device| &device.processes);
        let holder =
            |(process, _): &(Process, u64)| Holder { process: Some(process.clone()), how: How::Mapped };
        let mut holders: Vec<Holder> = processes.map(holder).collect();
        holders.sort_unstable();
        holders.dedup();
        pass.refer(memcg, 1, Thing::Swap { id, entries: Some(entries), devices: of_memcg }, holders);
    }
    Ok(())
}
