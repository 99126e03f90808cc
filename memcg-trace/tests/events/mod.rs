//! Events as the hooks would emit them, for the tests of the ledger.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::collections::HashMap;

use memcg_trace::{
    event::{Event, Key},
    record::{Backend, Clock, Start},
};
use memcg_trace_common::{CssFlag, EventHeader, Field, Hook, Layout, WalkLayout};
use zerocopy::FromZeros as _;

pub const MS: u64 = 1_000_000;

/// The start of a run a second after boot, in November 2023, on a node with 200 memcgs.
pub fn start() -> Start {
    Start {
        kernel: "6.12.1".to_owned(),
        boot_id: None,
        controller: "cgroup v2 at /sys/fs/cgroup".to_owned(),
        backend: Backend::Kprobe,
        backend_reason: None,
        unknown: Vec::new(),
        page_bytes: 4096,
        perf_pages: 512,
        // That it is known matters, not where it is.
        layout: WalkLayout { layout: Layout { memcg_id: 8, ..Layout::UNKNOWN }, ..WalkLayout::UNKNOWN },
        clock: Clock { boottime_offset_ns: 0, realtime_offset_ns: 1_700_000_000_000 * MS as i64 },
        started_ns: 1_000 * MS,
        grace_ns: 30_000 * MS,
        live: Some(200),
        dying_unseen: Some(0),
        paths: HashMap::from([(1, Box::from(*b"/"))]),
        segment: None,
    }
}

/// One css of the memory controller. The root has serial 1; a css below it takes its address, cgroup id and memcg ID
/// from its serial number.
#[derive(Clone, Debug)]
pub struct Css {
    pub key: Key,
    pub cgroup_id: u64,
    pub memcg_id: u32,
    pub level: u32,
    pub name: Vec<u8>,
    pub parent: Option<(Key, u64)>,
}

/// A css directly below the root.
pub fn css(serial: u64, name: impl AsRef<[u8]>) -> Css {
    let root = Css { key: key(1), cgroup_id: 1, memcg_id: 1, level: 0, name: Vec::new(), parent: None };
    Css {
        key: key(serial),
        cgroup_id: 1000 + serial,
        memcg_id: serial as u32,
        name: name.as_ref().to_vec(),
        ..root.clone()
    }
    .below(&root)
}

pub fn key(serial: u64) -> Key {
    Key { css: 0xff11_0000_0000_0000 + serial * 0x1000, serial }
}

impl Css {
    pub fn below(mut self, parent: &Css) -> Self {
        self.parent = Some((parent.key, parent.cgroup_id));
        self.level = parent.level + 1;
        self
    }

    /// The css that the same cgroup gets when the controller is switched off and on again.
    pub fn next_generation(&self, serial: u64) -> Self {
        Self { key: key(serial), ..self.clone() }
    }

    /// `css_alloc` returned; there is no serial number, cgroup or name yet.
    pub fn alloc(&self) -> Fired {
        let mut fired =
            Fired::new(Hook::CssAlloc).css(Key { serial: 0, ..self.key }).memcg_id(self.memcg_id, 1);
        fired.header.known &= !Field::SERIAL;
        fired
    }

    /// `css_alloc` failed below this css.
    pub fn alloc_child_fails(&self, errno: u32) -> Fired {
        let mut fired = Fired::new(Hook::CssAlloc).parent(self.key, self.cgroup_id);
        fired.header.errno = errno;
        fired.header.known |= Field::ERRNO;
        fired
    }

    pub fn online(&self) -> Fired {
        self.fire(Hook::CssOnline).memcg_id(self.memcg_id, 1)
    }

    pub fn mkdir(&self) -> Fired {
        self.fire(Hook::CgroupMkdir).memcg_id(self.memcg_id, 1)
    }

    pub fn rmdir(&self) -> Fired {
        self.fire(Hook::CgroupRmdir).memcg_id(self.memcg_id, 1)
    }

    /// The directory goes while no css of the memory controller is attached to it.
    pub fn rmdir_detached(&self) -> Fired {
        self.cgroup(Hook::CgroupRmdir)
    }

    pub fn offline_enter(&self) -> Fired {
        self.fire(Hook::CssOfflineEnter).memcg_id(self.memcg_id, 1)
    }

    pub fn offline_id_released(&self) -> Fired {
        self.fire(Hook::CssOffline).memcg_id(0, 0)
    }

    pub fn offline_id_held(&self, refs: u32) -> Fired {
        self.fire(Hook::CssOffline).memcg_id(self.memcg_id, refs)
    }

    pub fn released(&self) -> Fired {
        self.fire(Hook::CssReleased).memcg_id(0, 0)
    }

    pub fn free(&self) -> Fired {
        self.fire(Hook::CssFree).memcg_id(0, 0).flags(CssFlag::RELEASED)
    }

    /// Freed on the error path of its creation: it was never released.
    pub fn free_unreleased(&self) -> Fired {
        self.fire(Hook::CssFree).memcg_id(0, 0).flags(0)
    }

    pub fn cgroup_release(&self) -> Fired {
        self.cgroup(Hook::CgroupRelease)
    }

    /// A walk sees it in use.
    pub fn walked(&self) -> Fired {
        self.fire(Hook::Walk).memcg_id(self.memcg_id, 1).flags(CssFlag::ONLINE)
    }

    /// A walk sees it after rmdir and before css_offline.
    pub fn walked_removed(&self) -> Fired {
        self.fire(Hook::Walk).memcg_id(self.memcg_id, 1).flags(CssFlag::ONLINE | CssFlag::DYING)
    }

    /// A walk sees it offline.
    pub fn walked_dying(&self) -> Fired {
        self.fire(Hook::Walk).memcg_id(0, 0).flags(CssFlag::DYING)
    }

    /// A walk sees it before css_online.
    pub fn walked_unfinished(&self) -> Fired {
        self.fire(Hook::Walk).memcg_id(self.memcg_id, 1).flags(0)
    }

    /// The css goes, and the memcg stays (3.10).
    pub fn css_put(&self) -> Fired {
        let mut fired = self.fire(Hook::CssPut).memcg_id(self.memcg_id, 0);
        fired.header.known &= !Field::ID_REFS;
        fired
    }

    /// The memcg goes; its cgroup went before.
    pub fn memcg_free(&self) -> Fired {
        Fired::new(Hook::MemcgFree).css(self.key).memcg_id(self.memcg_id, 0).without(Field::ID_REFS)
    }

    pub fn fire(&self, hook: Hook) -> Fired {
        let fired = self.cgroup(hook).css(self.key);
        match self.parent {
            Some((parent, cgroup_id)) => fired.parent(parent, cgroup_id),
            None => fired,
        }
    }

    fn cgroup(&self, hook: Hook) -> Fired {
        let mut fired = Fired::new(hook);
        fired.header.cgroup_id = self.cgroup_id;
        fired.header.level = self.level;
        fired.header.known |= Field::CGROUP_ID | Field::LEVEL | Field::NAME;
        fired.name.clone_from(&self.name);
        fired
    }
}

/// A firing that still needs its time.
#[derive(Clone, Debug)]
pub struct Fired {
    pub header: EventHeader,
    pub name: Vec<u8>,
}

impl Fired {
    fn new(hook: Hook) -> Self {
        let mut header = EventHeader::new_zeroed();
        header.hook = hook as u16;
        header.pid = 42;
        header.tgid = 42;
        header.comm[..4].copy_from_slice(b"runc");
        Self { header, name: Vec::new() }
    }

    fn css(mut self, key: Key) -> Self {
        (self.header.css, self.header.serial) = (key.css, key.serial);
        self.header.known |= Field::CSS | Field::SERIAL;
        self
    }

    fn parent(mut self, key: Key, cgroup_id: u64) -> Self {
        (self.header.parent_css, self.header.parent_serial) = (key.css, key.serial);
        self.header.parent_cgroup_id = cgroup_id;
        self.header.known |= Field::PARENT | Field::PARENT_SERIAL | Field::PARENT_CGROUP_ID;
        self
    }

    pub fn memcg_id(mut self, id: u32, refs: u32) -> Self {
        (self.header.memcg_id, self.header.id_refs) = (id, refs);
        self.header.known |= Field::MEMCG_ID | Field::ID_REFS;
        self
    }

    fn flags(mut self, flags: u32) -> Self {
        self.header.css_flags = flags;
        self.header.known |= Field::CSS_FLAGS;
        self
    }

    /// The hook could not read these fields.
    pub fn without(mut self, fields: u32) -> Self {
        self.header.known &= !fields;
        self
    }

    pub fn by(mut self, comm: &str) -> Self {
        self.header.comm = [0; 16];
        self.header.comm[..comm.len()].copy_from_slice(comm.as_bytes());
        self
    }

    /// The event, `ms` milliseconds after boot.
    pub fn at(mut self, ms: u64) -> Event {
        self.header.t_ns = ms * MS;
        self.event()
    }

    /// The event, with the time and place that its header says.
    pub fn event(self) -> Event {
        Event::new(self.header, &self.name).expect("a hook of the contract, a name of NAME_MAX bytes at most")
    }
}
