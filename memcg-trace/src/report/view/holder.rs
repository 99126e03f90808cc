//! Who has what pins a memcg.

use serde::Serialize;

use crate::{
    cause::{Holder, How, Process},
    report::escape::Name,
};

/// Who has a thing.
#[derive(Clone, Debug, Serialize)]
pub struct HolderView<'a> {
    /// Null: no process.
    pub pid: Option<u32>,
    pub comm: Option<Name<'a>>,
    pub fd: Option<u32>,
    /// `open`, `mapped`, `task`, `unreaped`, `namespace`, `mounted`, `in_flight`, `queued`, `peer`, `perf_event` or `attached`.
    pub how: &'static str,
    /// Of an unreaped task: who has to wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ProcessView<'a>>,
    /// Where it is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<Name<'a>>,
    /// Inode number of the unix socket whose queue it is in, or which is its other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProcessView<'a> {
    pub pid: u32,
    pub comm: Name<'a>,
}

impl<'a> HolderView<'a> {
    pub fn new(holder: &'a Holder) -> Self {
        let (mut fd, mut parent, mut mount, mut socket) = (None, None, None, None);
        let how = match &holder.how {
            How::Open { fd: open } => {
                fd = Some(*open);
                "open"
            }
            How::Mapped => "mapped",
            How::Task => "task",
            How::Unreaped { parent: of } => {
                parent = Some(ProcessView::new(of));
                "unreaped"
            }
            How::InNamespace => "namespace",
            How::Mounted { point } => {
                mount = Some(Name(point));
                "mounted"
            }
            How::InFlight { socket: at } => {
                socket = Some(*at);
                "in_flight"
            }
            How::Queued { socket: at } => {
                socket = Some(*at);
                "queued"
            }
            How::Peer { socket: at } => {
                socket = Some(*at);
                "peer"
            }
            How::PerfEvent { fd: open } => {
                fd = Some(*open);
                "perf_event"
            }
            How::Attached => "attached",
        };
        let process = holder.process.as_ref();
        let (pid, comm) = (process.map(|process| process.pid), process.map(|process| Name(&process.comm)));
        Self { pid, comm, fd, how, parent, mount, socket }
    }
}

impl<'a> ProcessView<'a> {
    pub fn new(process: &'a Process) -> Self {
        Self { pid: process.pid, comm: Name(&process.comm) }
    }
}
