//! What a thing is called: its path, its address or its name.

use super::{
    behind::Behind,
    facts::{File, Socket, Thing},
    reach::path_of,
};

/// `None`: it has no name.
pub fn name_of(behind: &Behind) -> Option<Box<[u8]>> {
    match behind {
        Behind::Thing(thing) => match thing {
            Thing::File { file, .. } => name_of_file(file),
            Thing::Socket(socket) => socket_name(socket),
            Thing::Writeback { device, .. } => Some(device.clone()),
            Thing::Child { name, .. } | Thing::Directory { name } => name.clone(),
            Thing::SlabCache { name } | Thing::BpfMap { name, .. } => Some(name.clone()),
            Thing::Anon { .. }
            | Thing::Detached { .. }
            | Thing::KernelPages { .. }
            | Thing::KernelMemory { .. }
            | Thing::Swap { .. }
            | Thing::CssSet
            | Thing::Notify { .. }
            | Thing::ChargeStock { .. }
            | Thing::Mm => None,
        },
        Behind::NetNamespace(net) => Some(format!("net:[{}]", net.inode).into_bytes().into()),
        Behind::ChargeStocks { .. } | Behind::Nothing => None,
    }
}

/// Its path where it is mounted, else that in its file system.
pub fn name_of_file(file: &File) -> Option<Box<[u8]>> {
    path_of(file).map(Vec::into_boxed_slice).or_else(|| file.path.clone())
}

/// One end or both.
fn socket_name(socket: &Socket) -> Option<Box<[u8]>> {
    match (&socket.local, &socket.remote) {
        (Some(local), Some(remote)) => Some([&**local, b" -> ", &**remote].concat().into()),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}
