//! IPC namespaces: which one a System V segment is of, for its ID means another segment, or none, in another namespace.
//!
//! Nothing leads from a segment's inode to its namespace, but each namespace has its segments by ID: `ipc_namespace.ids`,
//! an IDR, which is a radix tree (`struct xa_node`, include/linux/xarray.h).

use std::{fs, os::unix::fs::MetadataExt as _};

use foldhash::HashMap;
use memcg_trace_common::ABSENT;

use super::{pass::Pass, tasks::Tasks};
use crate::{
    cause::IpcNamespace,
    kernel::memory::{Members, MemoryError},
};

/// Place of the segments in `ipc_namespace.ids` (`IPC_SHM_IDS`, ipc/util.h).
const SEGMENTS: u32 = 2;
/// Low bits of an ID that are the index in the IDR (`ipcmni_seq_shift()`, ipc/util.h): by default, and with the boot
/// parameter `ipcmni_extend`. The rest counts how often the index was used.
const INDEX_BITS: [u32; 2] = [15, 24];
/// Bits of an entry that is a node: `xa_is_node` marks it with a 2, `radix_tree_is_internal_node` (before 4.20) with a 1. An IDR of
/// pointers has no other tags.
const NODE: u64 = 3;
/// `XA_CHUNK_SIZE - 1`
const SLOT: u64 = 63;
/// Four levels of 64 slots hold every index.
const DEPTH_MAX: usize = 4;
/// Pairs of segment and namespace that are looked at, at most.
const PAIRS_MAX: usize = 1 << 18;

/// The namespace of each segment: address of its inode, and its ID. `None`: cannot be read.
pub(super) fn of_segments(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    segments: &[(u64, u64)],
) -> Result<Vec<Option<IpcNamespace>>, MemoryError> {
    let layout = pass.layout.ipc;
    let offsets = [layout.namespace.ids, layout.ids.root, layout.segment.file, layout.node.slots];
    if segments.is_empty() || offsets.contains(&ABSENT) || layout.ids_size == 0 {
        return Ok(vec![None; segments.len()]);
    }
    let namespaces = namespaces(pass, tasks)?;
    let root = [layout.namespace.ids, layout.ids_size.saturating_mul(SEGMENTS), layout.ids.root];
    let root: u64 = root.into_iter().map(u64::from).sum();
    let heads: Vec<u64> = namespaces.iter().map(|(address, _)| address.wrapping_add(root)).collect();
    let heads = pass.memory.pointers(&heads, 0)?;
    // Of the segments behind these nothing is known.
    let looked_at = PAIRS_MAX.checked_div(heads.len()).unwrap_or(0).min(segments.len());
    let mut found = vec![None; segments.len()];
    found[..looked_at].fill(Some(IpcNamespace::Unseen));
    for bits in INDEX_BITS {
        let index = |id: u64| id & ((1 << bits) - 1);
        let pairs = segments[..looked_at].iter().enumerate().flat_map(|(segment, (_, id))| {
            heads.iter().enumerate().map(move |(namespace, head)| (segment, namespace, *head, index(*id)))
        });
        let pairs: Vec<_> = pairs.collect();
        let entries = pairs.iter().map(|(_, _, head, index)| (*head, *index)).collect();
        let entries = slots(pass, entries)?;
        let files = pass.memory.pointers(&entries, layout.segment.file)?;
        let inodes = pass.memory.pointers(&files, pass.layout.file.inode)?;
        for ((segment, namespace, ..), inode) in pairs.into_iter().zip(inodes) {
            if inode == segments[segment].0 {
                found[segment] = Some(namespaces[namespace].1);
            }
        }
    }
    Ok(found)
}

/// Those that processes live in.
fn namespaces(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<Vec<(u64, IpcNamespace)>, MemoryError> {
    let layout = pass.layout;
    let by_proxy = tasks.by(|task| if task.exited { 0 } else { task.namespaces });
    let first = |tasks: Vec<&super::tasks::Thread>| tasks.iter().map(|task| task.tgid).min();
    let mut proxies: Vec<(u64, u32)> =
        by_proxy.into_iter().filter_map(|(proxy, tasks)| Some((proxy, first(tasks)?))).collect();
    proxies.sort_unstable_by_key(|(_, pid)| *pid);
    let addresses: Vec<u64> = proxies.iter().map(|(proxy, _)| *proxy).collect();
    let addresses = pass.memory.pointers(&addresses, layout.nsproxy.ipc)?;
    let numbers: Vec<u64> =
        addresses.iter().map(|address| address.wrapping_add(layout.ipc.namespace.common.into())).collect();
    let rows = pass.memory.rows(&numbers, &Members::of(&[layout.namespace.number]))?;
    let own = fs::metadata("/proc/self/ns/ipc").map(|metadata| metadata.ino()).ok();
    let mut namespaces: HashMap<u64, IpcNamespace> = HashMap::default();
    for (row, ((_, pid), address)) in proxies.into_iter().zip(addresses).enumerate() {
        let number = rows.get::<u32>(row, layout.namespace.number).map(u64::from);
        let whose =
            if number.is_some() && number == own { IpcNamespace::Ours } else { IpcNamespace::Of(pid) };
        namespaces.entry(address).or_insert(whose);
    }
    namespaces.remove(&0);
    let mut namespaces: Vec<_> = namespaces.into_iter().collect();
    namespaces.sort_unstable();
    Ok(namespaces)
}

/// What radix trees have at an index: heads and indices in, entries out; 0 where there is nothing.
fn slots(pass: &mut Pass<'_>, mut trees: Vec<(u64, u64)>) -> Result<Vec<u64>, MemoryError> {
    let layout = pass.layout.ipc.node;
    let node = |entry: u64| if entry & NODE == 0 { 0 } else { entry & !NODE };
    for _ in 0..DEPTH_MAX {
        let nodes: Vec<u64> = trees.iter().map(|(entry, _)| node(*entry)).collect();
        if nodes.iter().all(|node| *node == 0) {
            break;
        }
        let rows = pass.memory.rows(&nodes, &Members::of(&[layout.shift]))?;
        let slot = |(row, (node, (_, index))): (usize, (&u64, &(u64, u64)))| {
            let shift = rows.get::<u8>(row, layout.shift).unwrap_or(0).min(u64::BITS as u8 - 1);
            let slot = (index >> shift) & SLOT;
            let offset = u64::from(layout.slots) + slot * size_of::<u64>() as u64;
            if *node == 0 { 0 } else { node.wrapping_add(offset) }
        };
        let slots: Vec<u64> = nodes.iter().zip(&trees).enumerate().map(slot).collect();
        let below = pass.memory.pointers(&slots, 0)?;
        for ((tree, node), below) in trees.iter_mut().zip(nodes).zip(below) {
            if node != 0 {
                tree.0 = below;
            }
        }
    }
    Ok(trees.into_iter().map(|(entry, _)| if entry & NODE == 0 { entry } else { 0 }).collect())
}
