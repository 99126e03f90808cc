//! Network namespaces, and the sockets that the kernel makes for each of them (rtnetlink, neighbour discovery, …): charged to
//! whoever made the namespace, and there for as long as it is.

use std::fs;

use foldhash::{HashSet, HashSetExt as _};
use memcg_trace_common::{ABSENT, READ_MAX};

use super::{pass::Pass, tasks::Tasks};
use crate::kernel::memory::{Lists, Members, MemoryError, symbols::symbol};

/// More namespaces than there can be (`user.max_net_namespaces` is a limit for each user).
const NETS_MAX: usize = 1 << 20;
/// More per-namespace areas of modules than there are.
const AREAS_MAX: u32 = 1 << 10;
/// Namespaces that are searched word by word; the others have their sockets at the same places.
const SEARCHED: usize = 16;
/// `kthreadd`, whose namespaces are the first of their kind.
const KTHREADD: u32 = 2;
const WORD: usize = size_of::<u64>();
/// Kernel addresses have their upper bits set.
const KERNEL: u64 = 1 << 63;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Nets {
    /// That of the kernel's own tasks; 0: not known.
    pub initial: u64,
    pub all: Vec<u64>,
}

/// Where in a namespace the pointer to a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SocketPlace {
    /// Number of the area; `None`: the namespace itself.
    area: Option<usize>,
    word: usize,
}

pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<Nets, MemoryError> {
    let layout = pass.layout;
    let kthreadd = tasks.iter().find(|task| task.tgid == KTHREADD && task.mm == 0);
    let proxies: Vec<u64> = kthreadd.into_iter().map(|task| task.namespaces).collect();
    let initial = pass.memory.pointers(&proxies, layout.nsproxy.net)?.pop().unwrap_or(0);
    if initial == 0 || layout.net.node == ABSENT || layout.net.common == ABSENT {
        pass.unread("sockets without a file", "no task leads to the list of network namespaces");
        return Ok(Nets::default());
    }
    let ring = Lists { node: layout.net.node, limit: NETS_MAX };
    let mut all = pass.memory.list(initial.wrapping_add(layout.net.node.into()), ring)?.entries;
    all.push(initial);
    // One of them is the head of the list, and no namespace: it has not their operations.
    let operations = layout.net.common.saturating_add(layout.namespace.operations);
    let found = pass.memory.pointers(&all, operations)?;
    let own = found.last().copied().unwrap_or(0);
    let all = all.into_iter().zip(found).filter(|(_, operations)| *operations == own).map(|(net, _)| net);
    Ok(Nets { initial, all: all.collect() })
}

/// The kernel's own sockets in those of the namespaces that were made in one of the pass's memcgs.
pub(super) fn own_sockets(pass: &mut Pass<'_>, nets: &Nets) -> Result<Vec<u64>, MemoryError> {
    // Each has a socket of rtnetlink, made with it.
    let rtnetlink = pass.memory.pointers(&nets.all, pass.layout.net.rtnetlink)?;
    let charged = pass.memory.pointers(&rtnetlink, pass.layout.sock.memcg)?;
    let ours = nets.all.iter().zip(charged).filter(|(_, memcg)| pass.memcgs.at(*memcg).is_some());
    let ours: Vec<u64> = ours.map(|(net, _)| *net).collect();
    let (searched, others) = ours.split_at(ours.len().min(SEARCHED));
    let mut socks = HashSet::new();
    let mut places = HashSet::new();
    for net in searched {
        let words = pass.memory.array(*net, pass.layout.net_size as usize / WORD)?;
        let mut candidates: Vec<(SocketPlace, u64)> = Vec::new();
        let place =
            |(word, pointer): (usize, Option<u64>)| (SocketPlace { area: None, word }, pointer.unwrap_or(0));
        candidates.extend(words.into_iter().enumerate().map(place));
        let areas = areas(pass, *net)?;
        let rows = pass.memory.rows(&areas, &Members::default().with(0, READ_MAX as u32))?;
        for area in 0..areas.len() {
            for word in 0..READ_MAX / WORD {
                let place = SocketPlace { area: Some(area), word };
                candidates.push((place, rows.pointer(area, (WORD * word) as u32)));
            }
        }
        for (place, sock) in own(pass, *net, candidates)? {
            places.insert(place);
            socks.insert(sock);
        }
    }
    for net in others {
        let areas = areas(pass, *net)?;
        let at = |place: &SocketPlace| {
            let base = place.area.map_or(*net, |area| areas.get(area).copied().unwrap_or(0));
            if base == 0 { 0 } else { base.wrapping_add((WORD * place.word) as u64) }
        };
        let addresses: Vec<u64> = places.iter().map(at).collect();
        let pointers = pass.memory.pointers(&addresses, 0)?;
        let found = own(pass, *net, places.iter().copied().zip(pointers).collect())?;
        socks.extend(found.into_iter().map(|(_, sock)| sock));
    }
    socks.extend(by_cpu(pass, &ours)?);
    let mut socks: Vec<u64> = socks.into_iter().collect();
    socks.sort_unstable();
    Ok(socks)
}

/// Address of `__per_cpu_offset` by /proc/kallsyms, which has it with CONFIG_KALLSYMS_ALL. `None`: hidden, or not there.
pub(super) fn cpu_offsets_by_symbol() -> Option<u64> {
    symbol("__per_cpu_offset").ok()
}

/// The sockets of ICMP and those by which TCP answers for sockets that are gone: one for each CPU and namespace, until 5.18.
fn by_cpu(pass: &mut Pass<'_>, nets: &[u64]) -> Result<Vec<u64>, MemoryError> {
    let layout = pass.layout;
    if nets.is_empty() || layout.net.icmp == ABSENT {
        return Ok(Vec::new());
    }
    let Some(offsets) = layout.cpu_offsets else {
        pass.unread(
            "ICMP sockets of network namespaces",
            "/proc/kallsyms does not say where per-CPU variables are (CONFIG_KALLSYMS_ALL)",
        );
        return Ok(Vec::new());
    };
    let offsets = pass.memory.array(offsets, possible_cpus())?;
    let mut slots = Vec::new();
    for member in [layout.net.icmp, layout.net.icmp6, layout.net.tcp_control] {
        let pointers = pass.memory.pointers(nets, member)?;
        for (net, pointer) in nets.iter().zip(pointers).filter(|(_, pointer)| *pointer != 0) {
            slots.extend(offsets.iter().flatten().map(|offset| (*net, pointer.wrapping_add(*offset))));
            // Those of ICMPv6 are an array on 4.19.
            if is_kernel(&pointer) {
                let words = 0..offsets.len() as u64;
                slots.extend(words.map(|word| (*net, pointer.wrapping_add(WORD as u64 * word))));
            }
        }
    }
    let addresses: Vec<u64> = slots.iter().map(|(_, slot)| *slot).collect();
    let socks = pass.memory.pointers(&addresses, 0)?;
    let of = pass.memory.pointers(&socks, layout.sock.net)?;
    let found = socks.into_iter().zip(of).zip(slots);
    Ok(found.filter(|((_, of), (net, _))| of == net).map(|((sock, _), _)| sock).collect())
}

/// The number of possible CPUs: `/sys/devices/system/cpu/possible` is a list such as `0-3`.
fn possible_cpus() -> usize {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = possible.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<usize>().ok());
    // CONFIG_NR_CPUS is 8,192 at most.
    last.map_or(1, |last| (last + 1).min(1 << 13))
}

/// Areas that modules have for a namespace, and that of its events.
fn areas(pass: &mut Pass<'_>, net: u64) -> Result<Vec<u64>, MemoryError> {
    let layout = pass.layout.net;
    let rows = pass.memory.rows(&[net], &Members::of(&[layout.events, layout.areas]))?;
    let generic = rows.pointer(0, layout.areas);
    let length = pass.memory.rows(&[generic], &Members::of(&[0]))?.get::<u32>(0, 0).unwrap_or(0);
    let words = pass.memory.array(generic, length.min(AREAS_MAX) as usize)?;
    let mut areas: Vec<u64> = words.into_iter().map(|word| word.filter(is_kernel).unwrap_or(0)).collect();
    areas.push(rows.pointer(0, layout.events));
    Ok(areas)
}

/// Those of the pointers that are to a socket of this namespace, charged to one of the pass's memcgs.
fn own(
    pass: &mut Pass<'_>,
    net: u64,
    mut candidates: Vec<(SocketPlace, u64)>,
) -> Result<Vec<(SocketPlace, u64)>, MemoryError> {
    let sock = pass.layout.sock;
    candidates.retain(|(_, pointer)| is_kernel(pointer));
    let pointers: Vec<u64> = candidates.iter().map(|(_, pointer)| *pointer).collect();
    let rows = pass.memory.rows(&pointers, &Members::of(&[sock.net, sock.memcg]))?;
    let is_own = |row: usize| {
        rows.pointer(row, sock.net) == net && pass.memcgs.at(rows.pointer(row, sock.memcg)).is_some()
    };
    let found = candidates.into_iter().enumerate().filter(|(row, _)| is_own(*row));
    Ok(found.map(|(_, candidate)| candidate).collect())
}

/// Whether it may be the address of a struct.
fn is_kernel(pointer: &u64) -> bool {
    *pointer & KERNEL != 0 && pointer.is_multiple_of(WORD as u64)
}
