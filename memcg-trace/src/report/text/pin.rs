//! One thing that pins a memcg, in words.

use super::words::{many, or};
use crate::{
    cause::{
        Behind, ExplainedPart, File, FileKind, Folios, KernelPages, NetNamespace, Socket, SwapDevice, Thing,
        name_of_file,
    },
    report::{
        escape::Name,
        view::{
            FoliosView, HolderView, PartView,
            pin::{device, file_of, folios_of},
        },
    },
    units::{Count, Size},
};

/// More holders than this are only counted.
const HOLDERS: usize = 3;

/// What it is, and how much.
pub fn what(part: &PartView<'_>) -> String {
    let ExplainedPart { pin, behind, .. } = part.part;
    let name = match (file_of(behind), part.what) {
        (Some(file), what) => file_name(file, what),
        (None, Some(what)) => what.to_string(),
        (None, None) => String::new(),
    };
    let detail = detail(part).into_iter().collect::<Vec<_>>().join(", ");
    let detail = if detail.is_empty() { detail } else { format!("({detail})") };
    [pin.name(), &name, &detail].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn file_name(file: &File, what: Option<Name<'_>>) -> String {
    match (file.kind, what) {
        (FileKind::SysvShm, Some(name)) => format!("{} {name}", file.inode),
        (FileKind::BlockDevice, _) => device(file.device),
        (FileKind::SharedAnon, _) => String::new(),
        (_, Some(name)) if file.mount.is_none() && is_on_a_mount(file.kind) => {
            format!("{name} of {} {}, not mounted here", Name(&file.filesystem), device(file.device))
        }
        (_, Some(name)) => name.to_string(),
        (_, None) => format!("inode {} of {} {}", file.inode, Name(&file.filesystem), device(file.device)),
    }
}

fn is_on_a_mount(kind: FileKind) -> bool {
    matches!(kind, FileKind::Regular | FileKind::Tmpfs)
}

fn detail(part: &PartView<'_>) -> Vec<String> {
    let mut detail = Vec::new();
    if let Some(folios) = &part.folios {
        let refs = if is_one_for_all(&part.part.behind) { folios.folios } else { part.refs };
        detail.extend(amount(folios, refs));
    }
    if part.deleted == Some(true) {
        detail.push("deleted".to_owned());
    }
    if let (Some(folios), Some(state)) = (&part.folios, folios_of(&part.part.behind)) {
        detail.extend(states(state));
        let all = folios.cached_bytes.filter(|all| *all > folios.bytes);
        detail.extend(all.map(|bytes| format!("of {} cached", Size { bytes })));
    }
    match &part.part.behind {
        Behind::Thing(thing) => detail.extend(of_thing(thing)),
        Behind::NetNamespace(NetNamespace { holders, .. }) => {
            detail.push(many(part.refs, "socket"));
            if holders.is_empty() {
                detail.push("leaked: nothing was found that keeps it".to_owned());
            }
        }
        Behind::ChargeStocks { cpus, pages } => {
            let cpus: Vec<_> = cpus.iter().map(u32::to_string).collect();
            detail.push(format!("CPU {}", cpus.join(", ")));
            detail.extend(pages.map(|pages| many(pages, "page")));
        }
        Behind::Nothing => {}
    }
    detail
}

/// These pages are no references of their own.
fn is_one_for_all(behind: &Behind) -> bool {
    matches!(behind, Behind::Thing(Thing::KernelMemory { .. }))
}

/// `8.0 MiB in 326 folios`
fn amount(folios: &FoliosView, refs: u64) -> Option<String> {
    let size = Size { bytes: folios.bytes };
    match folios.folios {
        0 => None,
        count if folios.large > 0 || count != refs => Some(format!("{size} in {}", many(count, "folio"))),
        _ => Some(size.to_string()),
    }
}

fn states(folios: &Folios) -> Vec<String> {
    let states = [
        (folios.dirty, "dirty"),
        (folios.writeback, "in writeback"),
        (folios.mapped.unwrap_or(0), "mapped"),
        (folios.mlocked, "mlocked"),
        (folios.swapcache, "in the swap cache"),
    ];
    let states = states.into_iter().filter(|(count, _)| *count > 0);
    states
        .map(|(count, state)| match count == folios.folios {
            true => state.to_owned(),
            false => format!("{} {state}", Count(count)),
        })
        .collect()
}

fn of_thing(thing: &Thing) -> Vec<String> {
    match thing {
        Thing::KernelPages { kind, .. } => vec![match kind {
            KernelPages::PageTable => "page tables".to_owned(),
            KernelPages::Other => "stacks, pipe buffers, kmalloc".to_owned(),
        }],
        Thing::KernelMemory { folios } if folios.pages == 0 => vec!["none is left".to_owned()],
        Thing::KernelMemory { .. } => vec!["slabs and stacks".to_owned()],
        Thing::Swap { id, entries, devices } => {
            let mut detail = vec![format!("memcg ID {id}")];
            let on_devices: u64 = devices.iter().map(|device| device.entries).sum();
            let elsewhere = entries.map_or(0, |entries| entries.saturating_sub(on_devices));
            if elsewhere > 0 {
                detail.push(swapped(elsewhere));
            }
            detail.extend(devices.iter().map(on_device));
            detail
        }
        Thing::Socket(socket) => of_socket(socket),
        Thing::Writeback { dirty_inodes, attached_inodes, files, .. } => {
            let names =
                files.iter().take(HOLDERS).map(|file| file_name(file, file.path.as_deref().map(Name)));
            let state = match (*dirty_inodes, attached_inodes) {
                (0, None) => vec!["clean".to_owned()],
                (0, Some(attached)) => {
                    vec!["clean".to_owned(), format!("{} attached", many(*attached, "inode"))]
                }
                (dirty, _) => vec![many(dirty, "dirty inode")],
            };
            state.into_iter().chain(names).collect()
        }
        Thing::Child { key, dying, .. } => {
            let state = match dying {
                Some(true) => Some("dying"),
                Some(false) => Some("alive"),
                None => None,
            };
            let serial = key.known_serial().map(|serial| format!("serial {serial}"));
            serial.into_iter().chain(state.map(str::to_owned)).collect()
        }
        Thing::BpfMap { id, .. } => id.map(|id| format!("id {id}")).into_iter().collect(),
        Thing::File { .. }
        | Thing::Anon { .. }
        | Thing::Detached { .. }
        | Thing::CssSet
        | Thing::Notify { .. }
        | Thing::ChargeStock { .. }
        | Thing::Directory { .. }
        | Thing::Mm
        | Thing::SlabCache { .. } => Vec::new(),
    }
}

fn swapped(entries: u64) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        _ => format!("{} entries", Count(entries)),
    }
}

/// `2,304 entries on /dev/dm-1: 2,048 of tail (pid 204), 256 of /swapped`
fn on_device(device: &SwapDevice) -> String {
    let SwapDevice { device, entries, files, processes } = device;
    let processes = processes.iter().map(|(process, entries)| {
        format!("{} of {} (pid {})", Count(*entries), Name(&process.comm), process.pid)
    });
    let files = files.iter().map(|(file, entries)| {
        format!("{} of {}", Count(*entries), file_name(file, name_of_file(file).as_deref().map(Name)))
    });
    let owners: Vec<String> = processes.chain(files).take(HOLDERS).collect();
    let on = format!("{} on {}", swapped(*entries), Name(device));
    if owners.is_empty() { on } else { format!("{on}: {}", owners.join(", ")) }
}

/// States of include/net/tcp_states.h; other protocols use few of them.
const STATES: [&str; 13] = [
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

fn of_socket(socket: &Socket) -> Vec<String> {
    let Socket { protocol, state, inode, net, orphan, .. } = socket;
    let state = STATES.get(usize::from(*state)).copied().filter(|state| !state.is_empty());
    let net = net.as_ref().filter(|net| !net.is_initial).map(|net| format!("net:[{}]", net.inode));
    let parts = [
        Some(Name(protocol).to_string()),
        state.map(str::to_owned),
        inode.map(|inode| format!("socket:[{inode}]")),
        orphan.then(|| "closed, still has to send".to_owned()),
        net,
    ];
    parts.into_iter().flatten().collect()
}

/// `sleep (pid 4242, fd 3, mapped), cat (pid 99, fd 1) and 3 more`
pub fn holders(holders: &[HolderView<'_>]) -> String {
    let mut words: Vec<(Option<u32>, String, Vec<String>)> = Vec::new();
    for holder in holders {
        let how = how(holder);
        match words.iter_mut().find(|(pid, ..)| pid.is_some() && *pid == holder.pid) {
            Some((.., hows)) => hows.extend(how),
            None => {
                let name = or(holder.comm, "");
                words.push((holder.pid, name, how.into_iter().collect()));
            }
        }
    }
    let more = words.len().saturating_sub(HOLDERS);
    let words = words.into_iter().take(HOLDERS).map(|(pid, name, hows)| match pid {
        Some(pid) => {
            let facts: Vec<String> = [format!("pid {pid}")].into_iter().chain(hows).collect();
            format!("{name} ({})", facts.join(", "))
        }
        None => hows.join(", "),
    });
    let words = words.collect::<Vec<_>>().join(", ");
    if more == 0 { words } else { format!("{words} and {} more", Count(more as u64)) }
}

fn how(holder: &HolderView<'_>) -> Option<String> {
    match (holder.how, holder.fd) {
        ("open", Some(fd)) => Some(format!("fd {fd}")),
        ("perf_event", Some(fd)) => Some(format!("perf event at fd {fd}")),
        ("task", _) => None,
        ("unreaped", _) => holder
            .parent
            .map(|parent| format!("ended; {} (pid {}) has not waited for it", parent.comm, parent.pid)),
        ("namespace", _) => Some("lives in it".to_owned()),
        ("mounted", _) => holder.mount.map(|mount| format!("mounted at {mount}")),
        ("in_flight", _) => holder.socket.map(|socket| format!("a message at unix socket {socket}")),
        ("queued", _) => holder.socket.map(|socket| format!("the queue of unix socket {socket}")),
        ("peer", _) => holder.socket.map(|socket| format!("its other end, unix socket {socket}")),
        (how, _) => Some(how.to_owned()),
    }
}
