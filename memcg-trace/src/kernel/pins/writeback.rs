//! Writeback structures (`struct bdi_writeback`) of memcgs, a reference each: while inodes are dirty or attached to them, and
//! clean ones until their inodes go (up to 5.13).
//!
//! `memcg->cgwb_list` is cut when the memcg goes offline. The lists of the devices are not.

use memcg_trace_common::ABSENT;

use super::{files, mounts::Mounts, pass::Pass, super_blocks::SuperBlock};
use crate::{
    cause::Thing,
    kernel::memory::{Lists, Members, MemoryError},
};

/// More of anything in these lists than there is: inodes, devices, structures.
const ENTRIES_MAX: usize = 1 << 22;
/// Files that are named of each.
const FILES_MAX: usize = 8;
/// Bytes of `backing_dev_info.dev_name`.
const NAME: u32 = 64;

pub(super) fn read(
    pass: &mut Pass<'_>,
    super_blocks: &[SuperBlock],
    mounts: &mut Mounts,
) -> Result<(), MemoryError> {
    let (bdi, wb) = (pass.layout.bdi, pass.layout.writeback);
    if [bdi.list, wb.node, wb.memcg].contains(&ABSENT) {
        // No CONFIG_CGROUP_WRITEBACK.
        return Ok(());
    }
    let devices = devices(pass, super_blocks)?;
    let heads: Vec<u64> = devices.iter().map(|device| device.wrapping_add(bdi.list.into())).collect();
    let lists = pass.memory.lists(&heads, Lists { node: wb.node, limit: ENTRIES_MAX })?;
    let all: Vec<(u64, u64)> = devices
        .iter()
        .zip(lists)
        .flat_map(|(device, listed)| listed.entries.into_iter().map(|writeback| (*device, writeback)))
        .collect();
    let addresses: Vec<u64> = all.iter().map(|(_, writeback)| *writeback).collect();
    let csses = pass.memory.pointers(&addresses, wb.memcg)?;
    for ((device, writeback), css) in all.into_iter().zip(csses) {
        if let Some(memcg) = pass.memcgs.at(css) {
            refer(pass, mounts, memcg, device, writeback)?;
        }
    }
    Ok(())
}

/// All devices: those of the file systems, and the ring that they hang in.
fn devices(pass: &mut Pass<'_>, super_blocks: &[SuperBlock]) -> Result<Vec<u64>, MemoryError> {
    let ring = pass.layout.bdi.ring;
    let mut devices: Vec<u64> = super_blocks.iter().map(|super_block| super_block.bdi).collect();
    devices.retain(|device| *device != 0);
    devices.sort_unstable();
    devices.dedup();
    if ring != ABSENT {
        // Some are registered nowhere: their node is none.
        let heads: Vec<u64> = devices.iter().map(|device| device.wrapping_add(ring.into())).collect();
        let nodes = pass.memory.pointers(&heads, 0)?;
        let linked = heads.iter().zip(nodes).find(|(head, node)| *node != 0 && node != *head);
        if let Some((head, _)) = linked {
            devices.extend(pass.memory.list(*head, Lists { node: ring, limit: ENTRIES_MAX })?.entries);
            devices.sort_unstable();
            devices.dedup();
        }
    }
    Ok(devices)
}

fn refer(
    pass: &mut Pass<'_>,
    mounts: &mut Mounts,
    memcg: usize,
    device: u64,
    writeback: u64,
) -> Result<(), MemoryError> {
    let wb = pass.layout.writeback;
    let mut inodes = listed(pass, writeback, &[wb.dirty, wb.io, wb.more_io, wb.dirty_time])?;
    let dirty_inodes = inodes.len() as u64;
    let attached = listed(pass, writeback, &[wb.attached])?;
    let attached_inodes = (wb.attached != ABSENT).then_some(attached.len() as u64);
    inodes.extend(attached);
    inodes.truncate(FILES_MAX);
    let files = files::read(pass.memory, pass.layout, mounts, &inodes)?.into_iter().flatten().collect();
    let device = name(pass, device)?;
    let thing = Thing::Writeback { device, dirty_inodes, attached_inodes, files };
    pass.refer(memcg, 1, thing, Vec::new());
    Ok(())
}

/// The inodes on these lists of a writeback structure.
fn listed(pass: &mut Pass<'_>, writeback: u64, lists: &[u32]) -> Result<Vec<u64>, MemoryError> {
    let lists = lists.iter().filter(|list| **list != ABSENT);
    let heads: Vec<u64> = lists.map(|list| writeback.wrapping_add((*list).into())).collect();
    let node = pass.layout.inode.dirty;
    let lists = pass.memory.lists(&heads, Lists { node, limit: ENTRIES_MAX })?;
    Ok(lists.into_iter().flat_map(|listed| listed.entries).collect())
}

/// As the kernel calls it, such as `8:0`.
fn name(pass: &mut Pass<'_>, device: u64) -> Result<Box<[u8]>, MemoryError> {
    let bdi = pass.layout.bdi;
    if bdi.name == ABSENT {
        let name = pass.memory.chase(&[device], &[bdi.device, pass.layout.device.name])?;
        return Ok(pass.memory.strings(&name)?.pop().flatten().unwrap_or_default());
    }
    let rows = pass.memory.rows(&[device], &Members::default().with(bdi.name, NAME))?;
    Ok(rows.text(0, bdi.name, NAME as usize).unwrap_or_default())
}
