//! What pins a dying memcg: from facts about its references to named parts that sum up. Pure; the readers are in
//! `kernel/pins/`.

mod facts;

pub use facts::{
    File, FileKind, Folios, Holder, How, KernelPages, Look, Mount, NetNamespace, Notify, Process, Reference,
    Referenced, Socket, SwapDevice, Thing, Unread,
};
