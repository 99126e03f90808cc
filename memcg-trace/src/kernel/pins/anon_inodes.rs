//! Files that are no files: what their descriptors are of says the name of their dentry alone.

use super::{
    fds::{OpenFile, OpenFiles},
    pass::Pass,
};
use crate::kernel::memory::MemoryError;

/// Such a file, and its name.
pub(super) type Named<'a> = (Box<[u8]>, &'a OpenFile);

/// Those of the open files, with the names that `anon_inode_getfd` (fs/anon_inodes.c) was called with.
pub(super) fn read<'a>(pass: &mut Pass<'_>, open: &'a OpenFiles<'_>) -> Result<Vec<Named<'a>>, MemoryError> {
    let files: Vec<&OpenFile> = open.on(b"anon_inodefs").collect();
    let dentries: Vec<u64> = files.iter().map(|file| file.dentry).collect();
    let names = pass.memory.pointers(&dentries, pass.layout.dentry.name)?;
    let names = pass.memory.strings(&names)?;
    Ok(names.into_iter().zip(files).filter_map(|(name, file)| Some((name?, file))).collect())
}
