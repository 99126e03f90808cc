//! inotify and fanotify groups, a reference each from the memcg of whoever made it (since 4.19, d46eb14b735b).

use memcg_trace_common::ABSENT;

use super::{
    fds::{OpenFile, OpenFiles},
    pass::Pass,
    tasks::Tasks,
};
use crate::{
    cause::{Notify, Thing},
    kernel::memory::MemoryError,
};

/// `anon` are the files that are no files, by name.
pub(super) fn read(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    open: &OpenFiles<'_>,
    anon: &[(Box<[u8]>, &OpenFile)],
) -> Result<(), MemoryError> {
    if pass.layout.group.memcg == ABSENT {
        return Ok(());
    }
    let kind = |name: &[u8]| match name {
        b"inotify" => Some(Notify::Inotify),
        b"[fanotify]" => Some(Notify::Fanotify),
        _ => None,
    };
    let groups: Vec<(Notify, &OpenFile)> =
        anon.iter().filter_map(|(name, file)| Some((kind(name)?, *file))).collect();
    let addresses: Vec<u64> = groups.iter().map(|(_, file)| file.private).collect();
    let memcgs = pass.memory.pointers(&addresses, pass.layout.group.memcg)?;
    for ((kind, file), memcg) in groups.into_iter().zip(memcgs) {
        if let Some(memcg) = pass.memcgs.at(memcg) {
            pass.refer(memcg, 1, Thing::Notify { kind }, open.holders(tasks, file));
        }
    }
    Ok(())
}
