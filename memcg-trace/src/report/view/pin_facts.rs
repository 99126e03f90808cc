//! What is told of memory, swap entries and sockets that pin a memcg.

use serde::{Serialize, Serializer};

use crate::{
    cause::{File, Folios, Process, Socket, SwapDevice, Thing, name_of_file},
    report::escape::Name,
};

/// An amount of memory, and its state.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FoliosView {
    pub folios: u64,
    pub bytes: u64,
    pub dirty: u64,
    pub writeback: u64,
    /// Null: not read.
    pub mapped: Option<u64>,
    pub mlocked: u64,
    pub swapcache: u64,
    pub large: u64,
    /// Of the whole file, whoever is charged.
    pub cached_bytes: Option<u64>,
}

/// Swap entries that hold the memcg ID.
#[derive(Clone, Debug, Serialize)]
pub struct SwapView<'a> {
    pub id: u16,
    /// Null: not known how many.
    pub entries: Option<u64>,
    pub devices: Vec<SwapDeviceView<'a>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SwapDeviceView<'a> {
    pub device: Name<'a>,
    pub entries: u64,
    /// Whose pages these are, as far as it was found.
    pub files: Vec<SwapFileView>,
    pub processes: Vec<SwapProcessView<'a>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SwapFileView {
    #[serde(serialize_with = "as_name")]
    pub path: Option<Box<[u8]>>,
    pub inode: u64,
    pub entries: u64,
}

fn as_name<S: Serializer>(path: &Option<Box<[u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Name).serialize(serializer)
}

#[derive(Clone, Debug, Serialize)]
pub struct SwapProcessView<'a> {
    pub pid: u32,
    pub comm: Name<'a>,
    pub entries: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct SocketView<'a> {
    pub protocol: Name<'a>,
    pub family: u16,
    pub local: Option<Name<'a>>,
    pub remote: Option<Name<'a>>,
    pub state: u8,
    /// As in `socket:[N]`; null: it has no file.
    pub inode: Option<u64>,
    /// As in `net:[N]`.
    pub net: Option<u64>,
    pub orphan: bool,
}

impl FoliosView {
    pub fn new(folios: &Folios, file: Option<&File>, page_bytes: u64) -> Self {
        let Folios { folios, pages, dirty, writeback, mapped, mlocked, swapcache, large, .. } = *folios;
        let bytes = |pages: u64| pages.saturating_mul(page_bytes);
        let cached_bytes = file.and_then(|file| file.cached_pages).map(bytes);
        Self {
            folios,
            bytes: bytes(pages),
            dirty,
            writeback,
            mapped,
            mlocked,
            swapcache,
            large,
            cached_bytes,
        }
    }
}

impl<'a> SocketView<'a> {
    pub fn new(socket: &'a Socket) -> Self {
        let Socket { protocol, family, local, remote, state, inode, net, orphan } = socket;
        Self {
            protocol: Name(protocol),
            family: *family,
            local: local.as_deref().map(Name),
            remote: remote.as_deref().map(Name),
            state: *state,
            inode: *inode,
            net: net.as_ref().map(|net| net.inode),
            orphan: *orphan,
        }
    }
}

impl<'a> SwapView<'a> {
    pub fn new(thing: &'a Thing) -> Option<Self> {
        let Thing::Swap { id, entries, devices } = thing else { return None };
        let file = |(file, entries): &'a (File, u64)| SwapFileView {
            path: name_of_file(file),
            inode: file.inode,
            entries: *entries,
        };
        let process = |(process, entries): &'a (Process, u64)| SwapProcessView {
            pid: process.pid,
            comm: Name(&process.comm),
            entries: *entries,
        };
        let device = |device: &'a SwapDevice| SwapDeviceView {
            device: Name(&device.device),
            entries: device.entries,
            files: device.files.iter().map(file).collect(),
            processes: device.processes.iter().map(process).collect(),
        };
        Some(Self { id: *id, entries: *entries, devices: devices.iter().map(device).collect() })
    }
}
