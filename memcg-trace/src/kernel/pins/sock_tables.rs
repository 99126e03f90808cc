//! Sockets by protocol, whoever has them: the hash tables of TCP and UDP. The way to a table is a network namespace (TCP always,
//! UDP since 6.2), or the protocol that a socket of it has.

use foldhash::{HashSet, HashSetExt as _};
use memcg_trace_common::ABSENT;

use super::pass::Pass;
use crate::kernel::memory::{Lists, Members, MemoryError};

/// Buckets of all tables, at most: TCP has 524,288 by default, UDP 65,536; a namespace may have its own.
const BUCKETS_MAX: u32 = 1 << 24;
/// Buckets that are read at once.
const BUCKETS_EACH: u32 = 1 << 16;
/// More sockets than a table has.
const SOCKETS_MAX: usize = 1 << 22;
/// More protocols than there are.
const PROTOCOLS_MAX: usize = 1 << 12;
/// `struct proto.name`
pub(super) const PROTOCOL_NAME: u32 = 32;
/// Words of a bucket of UDP (`struct udp_hslot`): head, count and lock.
const UDP_BUCKET_WORDS: usize = 2;
/// A chain of TCP ends with an odd word (`hlist_nulls`).
const NULLS: u64 = 1;

/// The sockets in the TCP and UDP tables of these network namespaces. `sock` is any socket.
pub(super) fn read(pass: &mut Pass<'_>, nets: &[u64], sock: Option<u64>) -> Result<Vec<u64>, MemoryError> {
    let layout = pass.layout;
    let mut socks = Vec::new();
    let [tcp, udp] = [layout.net.tcp, layout.net.udp];
    if tcp == ABSENT {
        pass.unread("TCP sockets without a file", "BTF does not say where the table of TCP sockets is");
    }
    let tables = distinct(pass.memory.pointers(nets, tcp)?);
    socks.extend(in_tables(pass, &tables, layout.tcp_table.buckets, layout.tcp_table.mask, 1)?);
    let mut tables = pass.memory.pointers(nets, udp)?;
    tables.extend(of_protocol(pass, sock)?);
    let tables = distinct(tables);
    let of_udp = in_tables(pass, &tables, layout.udp_table.buckets, layout.udp_table.mask, UDP_BUCKET_WORDS)?;
    socks.extend(of_udp);
    Ok(socks)
}

/// The table of UDP itself, until 6.2.
fn of_protocol(pass: &mut Pass<'_>, sock: Option<u64>) -> Result<Vec<u64>, MemoryError> {
    let layout = pass.layout.protocol;
    let first: Vec<u64> = sock.into_iter().collect();
    let first = pass.memory.pointers(&first, pass.layout.sock.protocol)?.pop().unwrap_or(0);
    if first == 0 || [layout.name, layout.table, layout.node].contains(&ABSENT) {
        return Ok(Vec::new());
    }
    let ring = Lists { node: layout.node, limit: PROTOCOLS_MAX };
    let mut protocols = pass.memory.list(first.wrapping_add(layout.node.into()), ring)?.entries;
    protocols.push(first);
    let members = Members::of(&[layout.table]).with(layout.name, PROTOCOL_NAME);
    let rows = pass.memory.rows(&protocols, &members)?;
    let is_udp = |row: &usize| {
        rows.text(*row, layout.name, PROTOCOL_NAME as usize).is_some_and(|name| name.starts_with(b"UDP"))
    };
    Ok((0..protocols.len()).filter(is_udp).map(|row| rows.pointer(row, layout.table)).collect())
}

/// The sockets in these tables, whose buckets begin with the head of their chain and are so many words long.
fn in_tables(
    pass: &mut Pass<'_>,
    tables: &[u64],
    buckets: u32,
    mask: u32,
    words: usize,
) -> Result<Vec<u64>, MemoryError> {
    let node = pass.layout.sock.node;
    if [buckets, mask, node].contains(&ABSENT) {
        return Ok(Vec::new());
    }
    let rows = pass.memory.rows(tables, &Members::of(&[buckets, mask]))?;
    let mut socks = Vec::new();
    // Those that move to another chain meanwhile lead there.
    let mut seen = HashSet::new();
    let mut left = BUCKETS_MAX;
    for row in 0..tables.len() {
        let Some(mask) = rows.get::<u32>(row, mask).filter(|mask| *mask < left) else { continue };
        left -= mask + 1;
        if pass.is_late("sockets without a file") {
            break;
        }
        let mut level: Vec<u64> = Vec::new();
        for first in (0..=mask).step_by(BUCKETS_EACH as usize) {
            let count = words * (mask - first + 1).min(BUCKETS_EACH) as usize;
            let at = rows.pointer(row, buckets).wrapping_add(u64::from(first) * 8 * words as u64);
            let heads = pass.memory.array(at, count)?;
            level.extend(heads.into_iter().step_by(words).flatten().filter(|next| *next & NULLS == 0));
        }
        // All chains at once, a step each.
        while socks.len() < SOCKETS_MAX {
            level.retain(|next| *next != 0 && *next & NULLS == 0 && seen.insert(*next));
            if level.is_empty() {
                break;
            }
            socks.extend(level.iter().map(|next| next.wrapping_sub(node.into())));
            level = pass.memory.pointers(&level, 0)?;
        }
    }
    Ok(socks)
}

fn distinct(mut tables: Vec<u64>) -> Vec<u64> {
    let mut seen = HashSet::new();
    tables.retain(|table| *table != 0 && seen.insert(*table));
    tables
}
