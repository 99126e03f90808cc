//! Sockets: a reference each, of any family, from the memcg of whoever made it (`mem_cgroup_sk_alloc`).

use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::{
    addresses,
    fds::OpenFiles,
    layout::SockLayout,
    namespaces::Namespaces,
    nets::{self, Nets},
    pass::Pass,
    queues::{AF_UNIX, Reached, Way},
    sock_tables::{self, PROTOCOL_NAME},
    tasks::Tasks,
};
use crate::{
    cause::{Holder, How, NetNamespace, Socket, Thing},
    kernel::memory::{Members, MemoryError, Rows},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `TCP_TIME_WAIT`, `TCP_NEW_SYN_RECV`: what is in the table of TCP sockets and has no memcg (`inet_timewait_sock`, `request_sock`).
const NO_FULL_SOCKETS: [u8; 2] = [6, 12];
/// `sizeof(struct sockaddr_un)`: its family, and a path of 108 bytes.
const UNIX_ADDRESS: u32 = 110;
/// `sun_path` comes after the family.
const UNIX_NAME: usize = 2;

/// `reached` are the sockets that files lead to; the others are looked for here.
pub(super) fn read(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    open: &OpenFiles<'_>,
    namespaces: &Namespaces<'_>,
    mut reached: Vec<Reached>,
) -> Result<(), MemoryError> {
    let nets = nets::read(pass, tasks)?;
    let mut seen: HashSet<u64> = reached.iter().map(|reached| reached.sock).collect();
    let mut others = sock_tables::read(pass, &nets.all, reached.first().map(|reached| reached.sock))?;
    others.extend(nets::own_sockets(pass, &nets)?);
    others.retain(|sock| seen.insert(*sock));
    reached.extend(others.into_iter().map(|sock| Reached { sock, way: Way::Table }));

    let layout = pass.layout.sock;
    let all: Vec<u64> = reached.iter().map(|reached| reached.sock).collect();
    let rows = pass.memory.rows(&all, &Members::of(&[layout.state, layout.net, layout.memcg]))?;
    let charged = |(row, reached): (usize, &Reached)| {
        let state: u8 = rows.get(row, layout.state)?;
        let memcg = pass.memcgs.at(rows.pointer(row, layout.memcg))?;
        (reached.way != Way::Table || !NO_FULL_SOCKETS.contains(&state)).then_some((memcg, *reached))
    };
    let pinning: Vec<(usize, Reached)> = reached.iter().enumerate().filter_map(charged).collect();
    let socks: Vec<u64> = pinning.iter().map(|(_, reached)| reached.sock).collect();
    let mut sockets = describe(pass, &socks)?;
    let keeping = |net: u64| {
        let in_net = reached.iter().enumerate().filter(|(row, _)| rows.pointer(*row, layout.net) == net);
        in_net.flat_map(|(_, reached)| holders(tasks, open, reached.way)).collect()
    };
    let of = pass.memory.pointers(&socks, layout.net)?;
    let kept = describe_nets(pass, tasks, namespaces, &nets, &of, keeping)?;
    for (socket, net) in sockets.iter_mut().zip(of) {
        let kernel_socket = !socket.orphan && socket.inode.is_none();
        socket.net = kept.get(&net).map(|net| NetNamespace { kernel_socket, ..net.clone() });
    }
    for ((memcg, reached), socket) in pinning.into_iter().zip(sockets) {
        pass.refer(memcg, 1, Thing::Socket(socket), holders(tasks, open, reached.way));
    }
    Ok(())
}

/// Who has what is reached in this way.
fn holders(tasks: &Tasks, open: &OpenFiles<'_>, way: Way) -> Vec<Holder> {
    let through = |number, how: fn(u64) -> How| {
        let socket = open.file(number);
        open.owners(tasks, socket, &how(socket.number))
    };
    let mut holders = match way {
        Way::File(number) => open.holders(tasks, open.file(number)),
        Way::Queue(number) => through(number, |socket| How::Queued { socket }),
        Way::Peer(number) => through(number, |socket| How::Peer { socket }),
        Way::Table => Vec::new(),
    };
    holders.sort_unstable();
    holders.dedup();
    holders
}

/// The namespaces by address. One that nothing else is known to keep is kept by the sockets in it, as `keeping` has them.
fn describe_nets(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    namespaces: &Namespaces<'_>,
    nets: &Nets,
    of: &[u64],
    keeping: impl Fn(u64) -> Vec<Holder>,
) -> Result<HashMap<u64, NetNamespace>, MemoryError> {
    let layout = pass.layout;
    let number = layout.net.common.saturating_add(layout.namespace.number);
    let mut distinct = of.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let rows = pass.memory.rows(&distinct, &Members::of(&[number]))?;
    let mut described = HashMap::new();
    for (row, net) in distinct.into_iter().enumerate() {
        let Some(inode) = rows.get::<u32>(row, number) else { continue };
        let is_initial = net == nets.initial;
        let holders = match is_initial {
            true => Vec::new(),
            false => namespaces.holders(tasks, net.wrapping_add(layout.net.common.into())),
        };
        let mut holders = if holders.is_empty() && !is_initial { keeping(net) } else { holders };
        holders.sort_unstable();
        holders.dedup();
        let net_namespace = NetNamespace { inode: inode.into(), is_initial, kernel_socket: false, holders };
        described.insert(net, net_namespace);
    }
    Ok(described)
}

/// What the sockets are, but for their namespaces.
fn describe(pass: &mut Pass<'_>, socks: &[u64]) -> Result<Vec<Socket>, MemoryError> {
    let layout = pass.layout.sock;
    let members = [
        layout.family,
        layout.state,
        layout.protocol,
        layout.local,
        layout.local_port,
        layout.remote,
        layout.remote_port,
        layout.socket,
    ];
    let members = Members::of(&members).with(layout.local6, 16).with(layout.remote6, 16);
    let rows = pass.memory.rows(socks, &members)?;
    let protocols = rows.pointers(layout.protocol);
    let name = pass.layout.protocol.name;
    let protocols = pass.memory.rows(&protocols, &Members::default().with(name, PROTOCOL_NAME))?;
    let files = pass.memory.pointers(&rows.pointers(layout.socket), pass.layout.socket.file)?;
    let inodes = pass.memory.pointers(&files, pass.layout.file.inode)?;
    let numbers = pass.memory.rows(&inodes, &Members::of(&[pass.layout.inode.number]))?;
    let unix = |row: usize| rows.get(row, layout.family) == Some(AF_UNIX);
    let of_unix: Vec<u64> = (0..socks.len()).map(|row| if unix(row) { socks[row] } else { 0 }).collect();
    let names = unix_names(pass, &of_unix)?;
    let peers = pass.memory.pointers(&of_unix, pass.layout.unix.peer)?;
    let peers = unix_names(pass, &peers)?;
    let socket = |(row, (unix_local, unix_remote))| {
        let family = rows.get(row, layout.family).unwrap_or(0);
        let (local, remote) = match family {
            AF_UNIX => (unix_local, unix_remote),
            _ => inet_addresses(&rows, row, &layout, family),
        };
        Socket {
            protocol: protocols.text(row, name, PROTOCOL_NAME as usize).unwrap_or_default(),
            family,
            local,
            remote,
            state: rows.get(row, layout.state).unwrap_or(0),
            inode: numbers.get(row, pass.layout.inode.number),
            net: None,
            orphan: rows.pointer(row, layout.socket) == 0,
        }
    };
    Ok(names.into_iter().zip(peers).enumerate().map(socket).collect())
}

type Address = Option<Box<[u8]>>;

fn inet_addresses(rows: &Rows, row: usize, layout: &SockLayout, family: u16) -> (Address, Address) {
    let local_port = rows.get::<u16>(row, layout.local_port).unwrap_or(0);
    let remote_port = u16::from_be(rows.get(row, layout.remote_port).unwrap_or(0));
    let inet = |at, port| addresses::inet(rows.get(row, at)?, port);
    let inet6 = |at, port| addresses::inet6(rows.get(row, at)?, port);
    match family {
        AF_INET => (inet(layout.local, local_port), inet(layout.remote, remote_port)),
        AF_INET6 => (inet6(layout.local6, local_port), inet6(layout.remote6, remote_port)),
        _ => (None, None),
    }
}

/// The names of these unix sockets; of one at 0, none.
fn unix_names(pass: &mut Pass<'_>, socks: &[u64]) -> Result<Vec<Address>, MemoryError> {
    let layout = pass.layout.unix_address;
    let addresses = pass.memory.pointers(socks, pass.layout.unix.address)?;
    let members = Members::of(&[layout.length]).with(layout.name, UNIX_ADDRESS);
    let rows = pass.memory.rows(&addresses, &members)?;
    let name = |row| {
        let length = rows.get::<u32>(row, layout.length)?.min(UNIX_ADDRESS) as usize;
        let name = rows.bytes(row, layout.name, UNIX_ADDRESS as usize)?.get(UNIX_NAME..length)?;
        addresses::unix(name)
    };
    Ok((0..socks.len()).map(name).collect())
}
