//! The loader's own task read through the layout, to prove the layout before tracing.

use crate::RawEvent;

/// Maximum number of levels; deeper paths are incomplete.
pub const OWN_LEVELS: u32 = 32;

/// The memory css of the loader's own task, and the root css of the hierarchy.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Own {
    pub css: u64,
    pub serial: u64,
    /// Inode number of the cgroup's directory.
    pub cgroup_id: u64,
    /// Address of the `cgroup_root` that carries the memory controller.
    pub root: u64,
    /// Steps of the path that are valid.
    pub levels: u32,
    /// 1: the path reached the root of the hierarchy.
    pub complete: u32,
    /// Name of the css's subsystem, NUL terminated: `memory`, if the layout is right.
    pub controller: [u8; 16],
    /// The root css in the form of an event: its ids are the same on every kernel.
    pub root_css: RawEvent,
}

/// One component of the path.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PathStep {
    pub length: u32,
    pub name: [u8; 256],
}

const _: () = assert!(size_of::<Own>() == 4 * 8 + 2 * 4 + 16 + size_of::<RawEvent>());
const _: () = assert!(size_of::<PathStep>() == 260);
