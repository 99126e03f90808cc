//! Files by their inodes: what they are called and where they are.

use foldhash::HashMap;

use super::{
    layout::{MappingLayout, PinLayout},
    mounts::Mounts,
    paths::{self, DentryPath},
};
use crate::{
    cause::{File, FileKind},
    kernel::memory::{Members, Memory, MemoryError},
};

/// The kernel mounted it for itself (`SB_KERNMOUNT`, include/linux/fs.h).
const SB_KERNMOUNT: u64 = 1 << 22;
/// Bits of a `dev_t` that are the minor number (include/linux/kdev_t.h).
const MINOR_BITS: u32 = 20;

/// A file system, as far as files have to know.
#[derive(Clone, Debug)]
pub(super) struct FileSystem {
    device: u32,
    kernel_mount: bool,
    /// Of its type.
    pub name: Box<[u8]>,
}

/// Inodes of mappings, and how many pages of each are cached; 0 where a mapping has no file.
pub(super) fn hosts(
    memory: &mut dyn Memory,
    layout: &MappingLayout,
    mappings: &[u64],
) -> Result<Vec<(u64, Option<u64>)>, MemoryError> {
    let rows = memory.rows(mappings, &Members::of(&[layout.host, layout.pages]))?;
    let host = |row| (rows.pointer(row, layout.host), rows.get(row, layout.pages));
    Ok((0..mappings.len()).map(host).collect())
}

/// The files of the inodes at these addresses. `None`: not an inode, or freed meanwhile.
pub(super) fn read(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    mounts: &mut Mounts,
    inodes: &[u64],
) -> Result<Vec<Option<File>>, MemoryError> {
    let inode = &layout.inode;
    let members = [inode.number, inode.links, inode.size, inode.device, inode.super_block, inode.dentries];
    let rows = memory.rows(inodes, &Members::of(&members))?;
    let file_systems = file_systems(memory, layout, &rows.pointers(inode.super_block))?;
    let dentries: Vec<u64> =
        rows.pointers(inode.dentries).into_iter().map(|node| entry(node, layout.dentry.alias)).collect();
    // An alias may be gone, and its memory another dentry's.
    let own = memory.pointers(&dentries, layout.dentry.inode)?;
    let dentries: Vec<u64> = dentries
        .into_iter()
        .zip(own.into_iter().zip(inodes))
        .map(|(dentry, (own, inode))| if own == *inode { dentry } else { 0 })
        .collect();
    let paths = paths::read(memory, &layout.dentry, &dentries)?;
    let file = |(row, path): (usize, Option<DentryPath>)| {
        let file_system = file_systems.get(&rows.pointer(row, inode.super_block))?;
        let kind = kind(file_system, path.as_ref());
        let device = match kind {
            FileKind::BlockDevice => rows.get(row, inode.device)?,
            _ => file_system.device,
        };
        let device = (device >> MINOR_BITS, device & ((1 << MINOR_BITS) - 1));
        // The file of a whole device has a dentry without a name.
        let path = path.map(|path| path.path).filter(|path| !path.is_empty());
        // Kernel-internal files have no directory entry and no links; nobody deleted them.
        let named = matches!(kind, FileKind::Regular | FileKind::Tmpfs)
            || (kind == FileKind::Hugetlbfs && !file_system.kernel_mount);
        Some(File {
            mount: mounts.find(device, path.as_deref()).filter(|_| named).cloned(),
            kind,
            device,
            inode: rows.get(row, inode.number)?,
            filesystem: file_system.name.clone(),
            path,
            links: rows.get(row, inode.links).filter(|_| named),
            bytes: rows.get(row, inode.size),
            cached_pages: None,
            ipc: None,
        })
    };
    Ok(paths.into_iter().enumerate().map(file).collect())
}

/// The struct that a node at `offset` is in; 0 of none.
pub(super) fn entry(node: u64, offset: u32) -> u64 {
    if node == 0 { 0 } else { node.wrapping_sub(offset.into()) }
}

/// The file systems of these super blocks, by address.
pub(super) fn file_systems(
    memory: &mut dyn Memory,
    layout: &PinLayout,
    super_blocks: &[u64],
) -> Result<HashMap<u64, FileSystem>, MemoryError> {
    let mut super_blocks = super_blocks.to_vec();
    super_blocks.sort_unstable();
    super_blocks.dedup();
    let members = &layout.super_block;
    let rows =
        memory.rows(&super_blocks, &Members::of(&[members.device, members.flags, members.file_system]))?;
    let names = memory.pointers(&rows.pointers(members.file_system), layout.file_system.name)?;
    let names = memory.strings(&names)?;
    let mut file_systems = HashMap::default();
    for (row, (address, name)) in super_blocks.into_iter().zip(names).enumerate() {
        let kernel_mount = rows.pointer(row, members.flags) & SB_KERNMOUNT != 0;
        if let (Some(device), Some(name)) = (rows.get(row, members.device), name) {
            file_systems.insert(address, FileSystem { device, kernel_mount, name });
        }
    }
    Ok(file_systems)
}

fn kind(file_system: &FileSystem, path: Option<&DentryPath>) -> FileKind {
    let name = path.filter(|path| path.is_alone).map_or(&[][..], |path| &path.path);
    match (&*file_system.name, file_system.kernel_mount) {
        (b"bdev", _) => FileKind::BlockDevice,
        (b"hugetlbfs", _) => FileKind::Hugetlbfs,
        // `shm_mnt` (mm/shmem.c): names are given by memfd_create, ipc/shm.c, and shmem_zero_setup.
        (b"tmpfs" | b"devtmpfs", true) if name.starts_with(b"memfd:") => FileKind::Memfd,
        (b"tmpfs" | b"devtmpfs", true) if name.starts_with(b"SYSV") => FileKind::SysvShm,
        (b"tmpfs" | b"devtmpfs", true) if path.is_none_or(|path| path.is_alone) => FileKind::SharedAnon,
        (b"tmpfs" | b"devtmpfs", _) => FileKind::Tmpfs,
        _ => FileKind::Regular,
    }
}
