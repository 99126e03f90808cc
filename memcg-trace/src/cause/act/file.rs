//! Acts on files, and on memory that is a file to the kernel.

use super::{Act, ActKind, holder, on_file};
use crate::cause::{
    facts::{File, FileKind, Folios, Holder, How, IpcNamespace},
    reach::{Reach, root_of},
    shell::Word,
};

const CONTENTS: &str = "what is in the file";
const RELOADED: &str = "it is read from disk again when it is needed";
const NOWHERE: &str = "its file system is mounted nowhere that could be seen";

/// Frees the folios of a file.
pub(super) fn free(file: &File, folios: &Folios, refs: u64, holders: &[Holder]) -> Act {
    match file.kind {
        FileKind::Regular => drop_cache(file, folios, refs, holders),
        FileKind::Tmpfs | FileKind::Hugetlbfs => remove(file, refs, holders),
        FileKind::Memfd | FileKind::SharedAnon => {
            let mut act = holder::end(holders, refs);
            act.cost =
                if act.command.is_some() { "those processes, and what is in the memory" } else { act.cost };
            act
        }
        FileKind::SysvShm => remove_segment(file, refs, holders),
        FileKind::BlockDevice => flush_device(file, refs),
    }
}

/// Clean pages that nobody maps go when they are not needed (POSIX_FADV_DONTNEED); dirty ones are written first.
fn drop_cache(file: &File, folios: &Folios, refs: u64, holders: &[Holder]) -> Act {
    let descriptor = open(holders);
    let dirty = folios.dirty + folios.writeback > 0;
    let mapped = folios.mapped.unwrap_or(0).min(refs);
    let command = match (file.is_deleted(), descriptor) {
        (true, None) if holders.is_empty() => {
            return Act::wait("the kernel has taken the deleted file down", refs);
        }
        (true, None) => return holder::end(holders, refs),
        // A reopened descriptor reaches what no directory names any more.
        (true, Some((pid, fd))) => Some(drop_by_path(&format!("/proc/{pid}/fd/{fd}"), dirty)),
        _ => {
            let sync = if dirty { r"-exec sync {} \; " } else { "" };
            let found = format!(r"{sync}-exec dd if={{}} iflag=nocache count=0 \;");
            on_file(&Reach::of(file), |path| drop_by_path(&path.to_string(), dirty), &found)
        }
    };
    let Some(command) = command else {
        return Act::unknown(&format!("{NOWHERE}; memory pressure or drop_caches drops it"));
    };
    if mapped < refs {
        let stay = format!("folios that are mapped stay until nobody maps them: {mapped}");
        return Act {
            kind: ActKind::DropCache,
            command: Some(command),
            advice: (mapped > 0).then_some(stay),
            cost: RELOADED,
            frees: refs - mapped,
        };
    }
    let mappers: Vec<_> = holders.iter().filter(|holder| holder.how == How::Mapped).cloned().collect();
    let end = holder::end(&mappers, refs);
    let command = end.command.as_ref().map(|end| format!("{end}; sleep 1; {command}"));
    Act { command, ..end }
}

fn drop_by_path(path: &str, dirty: bool) -> String {
    let sync = if dirty { format!("sync {path} && ") } else { String::new() };
    format!("{sync}dd if={path} iflag=nocache count=0")
}

/// Shmem has nowhere to go but swap: its contents are lost.
fn remove(file: &File, refs: u64, holders: &[Holder]) -> Act {
    if holders.iter().any(|holder| holder.how == How::Mapped) {
        let end = holder::end(holders, refs);
        let rm = (!file.is_deleted()).then(|| rm(file)).flatten();
        let steps: Vec<String> = rm.into_iter().chain(end.command).collect();
        let command = (!steps.is_empty()).then(|| steps.join("; "));
        return Act { command, cost: "those processes, and what is in the file", ..end };
    }
    if let Some((pid, fd)) = open(holders) {
        // The descriptor may be another file's by the time that somebody pastes this.
        let Some(filesystem) = Word::of(&file.filesystem) else { return holder::end(holders, refs) };
        let command = format!(
            "find -L /proc/{pid}/fd/{fd} -maxdepth 0 -inum {} -fstype {filesystem} -exec truncate -s 0 {{}} +",
            file.inode
        );
        return Act {
            kind: ActKind::Truncate,
            command: Some(command),
            advice: Some("or end the process, or have it close the file".into()),
            cost: "what is in the file, under a process that has it open",
            frees: refs,
        };
    }
    match rm(file) {
        _ if file.is_deleted() && holders.is_empty() => {
            Act::wait("the kernel has taken the deleted file down", refs)
        }
        _ if file.is_deleted() => holder::end(holders, refs),
        None => Act::unknown(&format!("{NOWHERE}; it goes with its last mount")),
        command => {
            // Of a file system that is mounted in part, the rest may have names of it.
            let in_part = file.mount.as_ref().is_some_and(|mount| &*mount.root != b"/");
            let advice = hard_links(file).map(|links| {
                let outside = if in_part { "; there may be some that this mount does not show" } else { "" };
                format!("it has {links} names, and goes with the last{outside}")
            });
            let frees = if in_part && advice.is_some() { 0 } else { refs };
            Act { kind: ActKind::Remove, command, advice, cost: CONTENTS, frees }
        }
    }
}

/// Of several names, the kernel tells one; by that, and not by an inode number that another file may have, the rest is found.
fn rm(file: &File) -> Option<String> {
    let top = hard_links(file).and_then(|_| root_of(file.mount.as_ref()?));
    let remove = |path: &Word| match &top {
        Some(top) => format!("find {top} -xdev -samefile {path} -delete"),
        None => format!("rm {path}"),
    };
    on_file(&Reach::of(file), remove, "-delete")
}

/// How many names it has, if more than one.
fn hard_links(file: &File) -> Option<u32> {
    file.links.filter(|links| *links > 1)
}

/// Attached processes keep a removed segment until they detach. An ID is of one IPC namespace: in another, it is another
/// segment's.
fn remove_segment(file: &File, refs: u64, holders: &[Holder]) -> Act {
    let id = file.inode;
    let (ipcrm, advice) = match file.ipc {
        Some(IpcNamespace::Ours) => (Some(format!("ipcrm -m {id}")), None),
        Some(IpcNamespace::Of(pid)) => {
            (Some(format!("nsenter --ipc=/proc/{pid}/ns/ipc ipcrm -m {id}")), None)
        }
        Some(IpcNamespace::Unseen) => (None, Some("it is of an IPC namespace that no process lives in")),
        None => (
            Some(format!("ipcrm -m {id}")),
            Some("in its IPC namespace: check with ipcs -m that it is this segment"),
        ),
    };
    let (kind, cost, end) = match holders {
        [] => (ActKind::RemoveSegment, "what is in the segment", Act::NONE),
        _ => {
            let end = holder::end(holders, refs);
            (ActKind::End, "those processes, and what is in the segment", end)
        }
    };
    let frees = if ipcrm.is_some() { refs } else { 0 };
    let steps: Vec<String> = ipcrm.into_iter().chain(end.command).collect();
    let advice: Vec<String> = advice.map(str::to_owned).into_iter().chain(end.advice).collect();
    Act {
        kind: if steps.is_empty() { ActKind::Unknown } else { kind },
        command: (!steps.is_empty()).then(|| steps.join("; ")),
        advice: (!advice.is_empty()).then(|| advice.join("; ")),
        cost,
        frees,
    }
}

/// What a mounted file system works with (superblock, bitmaps) stays.
fn flush_device(file: &File, refs: u64) -> Act {
    let (major, minor) = file.device;
    Act {
        kind: ActKind::FlushDevice,
        command: Some(format!("blockdev --flushbufs /dev/block/{major}:{minor}")),
        advice: Some("what the mounted file system works with stays until it is unmounted".into()),
        cost: "metadata is read from disk again when it is needed",
        frees: refs,
    }
}

/// The first descriptor of it.
fn open(holders: &[Holder]) -> Option<(u32, u32)> {
    holders.iter().find_map(|holder| match (&holder.process, &holder.how) {
        (Some(process), How::Open { fd }) => Some((process.pid, *fd)),
        _ => None,
    })
}
