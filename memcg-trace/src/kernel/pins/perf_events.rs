//! Perf events of tasks that were reaped: an open event keeps its `task_struct` (`perf_event.hw.target`), and that its css_set.

use super::{
    css_sets::CssSets,
    fds::{OpenFile, OpenFiles},
    pass::Pass,
    tasks::Tasks,
};
use crate::{
    cause::{Holder, How},
    kernel::memory::MemoryError,
};

/// Adds them to the holders of css_sets. `anon` are the files that are no files, by name.
pub(super) fn hold(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    open: &OpenFiles<'_>,
    anon: &[(Box<[u8]>, &OpenFile)],
    css_sets: &mut CssSets,
) -> Result<(), MemoryError> {
    let events: Vec<&OpenFile> =
        anon.iter().filter(|(name, _)| **name == *b"[perf_event]").map(|(_, file)| *file).collect();
    let addresses: Vec<u64> = events.iter().map(|file| file.private).collect();
    let targets = pass.memory.pointers(&addresses, pass.layout.perf_event.task)?;
    let of_css_sets = pass.memory.pointers(&targets, pass.layout.task.css_set)?;
    for ((file, target), css_set) in events.into_iter().zip(targets).zip(of_css_sets) {
        // One that is still among the tasks is a holder itself.
        let reaped = tasks.at(target).is_none();
        if let Some((_, holders)) = css_sets.get_mut(&css_set).filter(|_| reaped) {
            holders.extend(open.holders(tasks, file).into_iter().map(of_event));
        }
    }
    Ok(())
}

fn of_event(holder: Holder) -> Holder {
    match holder.how {
        How::Open { fd } => Holder { how: How::PerfEvent { fd }, ..holder },
        _ => holder,
    }
}
