//! Identity of memcgs, and the threads of events.

use serde::{Deserialize, Serialize};

use super::Event;

/// `MEM_CGROUP_ID_MAX`: memcg IDs have 16 bits, 0 is none.
pub const ID_LIMIT: u64 = u16::MAX as u64;

/// Identity of a memcg: address of its css and the css's serial number.
///
/// Addresses, memcg IDs, cgroup ids and paths are all reused, some of them while the zombie still lives; serial numbers
/// are not (`css_serial_nr_next`, kernel/cgroup/cgroup.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// First: ordered by age.
    pub serial: u64,
    pub css: u64,
}

impl Key {
    /// The memcg that an event is about. Where serial numbers cannot be read, all are 0: then only the address
    /// distinguishes memcgs, which works as long as both are alive.
    pub fn of(event: &Event) -> Option<Self> {
        let css = event.css().filter(|&css| css != 0)?;
        Some(Self { css, serial: event.serial().unwrap_or(0) })
    }

    /// `None`: this kernel has none (3.10), or it could not be read.
    pub fn known_serial(&self) -> Option<u64> {
        Some(self.serial).filter(|serial| *serial != 0)
    }
}

/// The parent of the memcg that an event is about.
pub fn parent_of(event: &Event) -> Option<Key> {
    let css = event.parent_css().filter(|&css| css != 0)?;
    Some(Key { css, serial: event.parent_serial().unwrap_or(0) })
}

/// A thread that did something to a memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
    pub tgid: u32,
    /// NUL padded.
    pub comm: [u8; 16],
}

impl Task {
    /// The thread that ran the hook.
    pub fn of(event: &Event) -> Self {
        let header = event.header();
        Self { pid: header.pid, tgid: header.tgid, comm: header.comm }
    }
}
