//! What frees a part, with its names filled in: the act that destroys least. None of this is ever done by `explain`.

mod file;
mod holder;

use serde::{Deserialize, Serialize};

use super::{
    behind::Behind,
    facts::{File, Holder, KernelPages, Socket, SwapDevice, Thing},
    reach::Reach,
    shell::Word,
};

/// What can be done about one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub kind: ActKind,
    /// For a POSIX shell, as root; no name in it can become a command.
    pub command: Option<String>,
    /// What else helps or, without a command, what does. Holds no names but numbers.
    pub advice: Option<String>,
    /// What is lost by it.
    pub cost: &'static str,
    /// References that it frees; 0 where it is only a step on the way.
    pub frees: u64,
}

/// The kinds of acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// Drop the clean page cache of one file.
    DropCache,
    /// Drop the buffers of one device.
    FlushDevice,
    Remove,
    RemoveSegment,
    Truncate,
    /// End processes.
    End,
    Umount,
    Sync,
    /// Have the kernel drop inodes and dentries.
    DropInodes,
    Swapoff,
    /// Look at another memcg.
    Explain,
    /// Look closer at this one.
    ScanMemory,
    /// It goes by itself.
    Wait,
    /// Nothing that is known helps.
    Unknown,
}

impl ActKind {
    /// Something is gone after it that does not come back by itself.
    pub fn loses(self) -> bool {
        match self {
            Self::Remove
            | Self::RemoveSegment
            | Self::Truncate
            | Self::End
            | Self::Umount
            | Self::Swapoff => true,
            Self::DropCache
            | Self::FlushDevice
            | Self::Sync
            | Self::DropInodes
            | Self::Explain
            | Self::ScanMemory
            | Self::Wait
            | Self::Unknown => false,
        }
    }
}

const NO_COST: &str = "nothing";

impl Act {
    pub(super) const NONE: Self =
        Self { kind: ActKind::Unknown, command: None, advice: None, cost: NO_COST, frees: 0 };

    /// What frees `refs` references of a thing that these have.
    pub fn on(behind: &Behind, refs: u64, holders: &[Holder]) -> Self {
        match behind {
            Behind::Thing(thing) => Self::on_thing(thing, refs, holders),
            Behind::NetNamespace(_) if holders.is_empty() => {
                Self::unknown("no process, descriptor or mount was found that keeps the namespace")
            }
            Behind::NetNamespace(_) => holder::end(holders, refs),
            Behind::ChargeStocks { .. } => Self::wait("another memcg takes that slot of the CPU", refs),
            Behind::Nothing => Self::scan_memory(),
        }
    }

    fn on_thing(thing: &Thing, refs: u64, holders: &[Holder]) -> Self {
        match thing {
            Thing::File { file, folios } => file::free(file, folios, refs, holders),
            Thing::Anon { .. } | Thing::CssSet | Thing::Notify { .. } | Thing::Mm => {
                holder::end(holders, refs)
            }
            Thing::Detached { .. } => Self::wait("reclaim or the driver that pinned them lets go", refs),
            Thing::KernelPages { kind, .. } => match kind {
                _ if !holders.is_empty() => holder::end(holders, refs),
                KernelPages::PageTable => Self::unknown("page tables go with the process that was moved out"),
                KernelPages::Other => {
                    Self::unknown("stacks go with their threads, pipe buffers when they are read")
                }
            },
            Thing::KernelMemory { folios } if folios.pages == 0 => {
                Self::unknown("nothing: the last page was a child's, and these do not give it back")
            }
            Thing::KernelMemory { .. } => {
                Self::unknown("it goes with the last page, those of its slab caches included")
            }
            Thing::Swap { devices, .. } => swapoff(devices, refs),
            Thing::Socket(socket) if socket.orphan && holders.is_empty() => {
                Self::wait("its peer has taken the rest, or at net.ipv4.tcp_orphan_retries", refs)
            }
            Thing::Socket(Socket { net: Some(net), .. }) if net.kernel_socket && holders.is_empty() => {
                Self::unknown("the kernel made it for itself: it goes with the device or the module")
            }
            Thing::Socket(_) => holder::end(holders, refs),
            Thing::Writeback { dirty_inodes, attached_inodes, files, .. } => {
                writeback(*dirty_inodes, attached_inodes.is_some(), files, refs)
            }
            Thing::ChargeStock { .. } => Self::wait("another memcg takes that slot of the CPU", refs),
            Thing::Child { key, dying, .. } => Self {
                kind: ActKind::Explain,
                command: Some(match key.known_serial() {
                    Some(serial) => format!("memcg-trace explain {serial}"),
                    None => format!("memcg-trace explain {:#x}", key.css),
                }),
                advice: Some(match dying {
                    Some(false) => "the child is alive: it goes with the child's cgroup".into(),
                    _ => "it goes with the child, whose own pins are what counts".into(),
                }),
                cost: NO_COST,
                frees: 0,
            },
            Thing::Directory { .. } => Self::unknown(
                "it goes when nobody has a file of it open or works in it: \
                 ls -l /proc/[0-9]*/cwd /proc/[0-9]*/fd 2>/dev/null | grep deleted",
            ),
            Thing::SlabCache { .. } => {
                Self::unknown("it goes with the last object, and on some kernels not even then")
            }
            Thing::BpfMap { id, .. } => match id {
                _ if !holders.is_empty() => holder::end(holders, refs),
                Some(id) => Self::unknown(&format!("bpftool map show id {id} tells who has it")),
                None => Self::unknown("bpftool map tells who has which map"),
            },
        }
    }

    /// For what is on no list that was read.
    pub(super) fn scan_memory() -> Self {
        Self {
            kind: ActKind::ScanMemory,
            advice: Some("look for it by --scan-memory always, or among what is not read (below)".into()),
            ..Self::NONE
        }
    }

    fn wait(until: &str, refs: u64) -> Self {
        let advice = format!("nothing: it goes by itself when {until}");
        Self { kind: ActKind::Wait, advice: Some(advice), frees: refs, ..Self::NONE }
    }

    fn unknown(advice: &str) -> Self {
        Self { advice: Some(advice.into()), ..Self::NONE }
    }
}

/// Pages that come back from swap are charged to whoever has them now, not to what is dying.
fn swapoff(devices: &[SwapDevice], refs: u64) -> Act {
    let used = devices.iter().filter(|device| device.entries > 0);
    let owned = |device: &SwapDevice| {
        let by = device
            .files
            .iter()
            .map(|(_, entries)| entries)
            .chain(device.processes.iter().map(|(_, entries)| entries));
        by.sum::<u64>() >= device.entries
    };
    let known = !devices.is_empty() && used.clone().all(owned);
    let [files, processes] = [
        devices.iter().any(|device| !device.files.is_empty()),
        devices.iter().any(|device| !device.processes.is_empty()),
    ];
    let advice = match (known, processes, files) {
        (true, true, false) => "or end the processes that have these pages",
        (true, false, true) => "or remove the files that have these pages",
        _ => "or end the processes and remove the tmpfs files that are swapped out",
    };
    let words: Option<Vec<Word>> = used.map(|device| Word::path(&device.device)).collect();
    let command = match words.as_deref() {
        None | Some([]) => "swapoff -a && swapon -a".to_owned(),
        Some(words) => {
            let steps = words.iter().map(|device| format!("swapoff {device} && swapon {device}"));
            steps.collect::<Vec<_>>().join(" && ")
        }
    };
    Act {
        kind: ActKind::Swapoff,
        command: Some(command),
        advice: Some(advice.into()),
        cost: "all of that swap has to fit into free memory; it can take long",
        frees: refs,
    }
}

/// A structure that is clean stays for as long as an inode is attached to it; `switched`: or until another memcg goes offline, for then its
/// inodes are switched to the parent's (c22d70a162d3, 5.14). On 7.3.4 no drop_caches evicts inodes of removed cgroups.
fn writeback(dirty_inodes: u64, switched: bool, files: &[File], refs: u64) -> Act {
    let mounts = files.iter().filter_map(|file| file.mount.as_ref()).filter(|mount| mount.pid.is_none());
    let mount = mounts.map(|mount| Word::path(&mount.point)).next().flatten();
    if dirty_inodes == 0 {
        return Act {
            kind: ActKind::DropInodes,
            command: Some("echo 2 > /proc/sys/vm/drop_caches".into()),
            advice: Some(if switched {
                "or umount that file system; else it goes with the file, or when another cgroup is removed"
                    .into()
            } else {
                "or umount that file system".into()
            }),
            cost: "all dentries and inodes that nobody uses are read again",
            frees: refs,
        };
    }
    Act {
        kind: ActKind::Sync,
        command: Some(mount.map_or_else(|| "sync".into(), |mount| format!("sync -f {mount}"))),
        advice: Some("if it stays, clean: umount, or echo 2 > /proc/sys/vm/drop_caches".into()),
        cost: "disk writes, which would come anyway",
        frees: refs,
    }
}

/// `COMMAND ARGUMENTS` on a file wherever it is.
fn on_file(reach: &Reach, path: impl Fn(&Word) -> String, found: &str) -> Option<String> {
    match reach {
        Reach::Path(word) => Some(path(word)),
        Reach::Find { directory, inode } => Some(format!("find {directory} -xdev -inum {inode} {found}")),
        Reach::Nowhere => None,
    }
}

#[cfg(test)]
mod tests;
