//! All file systems that there are, mounted or not: from any open file into the ring of super blocks.

use memcg_trace_common::ABSENT;

use super::{fds::OpenFiles, files::file_systems, pass::Pass};
use crate::kernel::memory::{Lists, Members, MemoryError};

/// More file systems than can be mounted.
const SUPER_BLOCKS_MAX: usize = 1 << 20;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct SuperBlock {
    pub address: u64,
    /// Name of its type.
    pub file_system: Box<[u8]>,
    /// Its `struct backing_dev_info`.
    pub bdi: u64,
}

pub(super) fn read(pass: &mut Pass<'_>, open: &OpenFiles<'_>) -> Result<Vec<SuperBlock>, MemoryError> {
    let layout = pass.layout.super_block;
    let inodes: Vec<u64> = open.iter().take(1).map(|file| file.inode).collect();
    let first = pass.memory.pointers(&inodes, pass.layout.inode.super_block)?.pop().unwrap_or(0);
    if first == 0 || layout.list == ABSENT {
        pass.unread("file systems", "no open file leads to one");
        return Ok(Vec::new());
    }
    let ring = Lists { node: layout.list, limit: SUPER_BLOCKS_MAX };
    let mut addresses = pass.memory.list(first.wrapping_add(layout.list.into()), ring)?.entries;
    addresses.push(first);
    // One of them is the head of the ring: it has no type, and so no name.
    let mut known = file_systems(pass.memory, pass.layout, &addresses)?;
    let rows = pass.memory.rows(&addresses, &Members::of(&[layout.bdi]))?;
    let super_block = |(row, address): (usize, &u64)| {
        let file_system = known.remove(address)?.name;
        Some(SuperBlock { address: *address, file_system, bdi: rows.pointer(row, layout.bdi) })
    };
    Ok(addresses.iter().enumerate().filter_map(super_block).collect())
}
