//! Built-in layout for kernels whose cgroups are dentries (3.10), as they have no BTF. It is not trusted until our own
//! cgroup, read through it, matches /proc/self/cgroup and the inode number of the directory. Offsets that depend on the
//! kernel config are searched for.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use memcg_trace_common::{DentryLayout, Layout, NAME_MAX};

use super::proof::ProofError;
use crate::kernel::{
    cgroupfs::hierarchy::{Controller, own_path},
    memory::{kcore::Kcore, symbols::symbol},
};

/// `cgroup_subsys_state.cgroup`
const CSS_CGROUP: u32 = 0;
/// `mem_cgroup.id`, 16 bits, followed by 16 bits of zero padding.
pub const MEMCG_ID: u32 = 64;
/// `mem_cgroup.memory`, a page counter, which starts with its count.
pub const MEMCG_USAGE: u32 = 72;
/// `cgroup.sibling`, the entry in the parent's list of children.
const CGROUP_SIBLING: u32 = 16;
/// `cgroup.children`, the head of the list.
const CGROUP_CHILDREN: u32 = 32;
/// `cgroup.parent`
const CGROUP_PARENT: u32 = 64;
/// `cgroup.dentry`
const CGROUP_DENTRY: u32 = 72;
/// `cgroup.subsys[]`; built-in controllers are numbered in the order of include/linux/cgroup_subsys.h.
const CGROUP_SUBSYS: u32 = 88;
const SUBSYS_MAX: u32 = 16;
/// `dentry.d_parent`
const DENTRY_PARENT: u32 = 24;
/// `dentry.d_name.name`
const DENTRY_NAME: u32 = 40;
/// `dentry.d_inode`
const DENTRY_INODE: u32 = 48;
/// Possible offsets of `inode.i_ino`: the fields of security modules and ACLs come before it.
const INODE_NUMBERS: [u32; 7] = [32, 40, 48, 56, 64, 72, 80];
/// Symbol of the pointer to the root memcg.
const ROOT_MEMCG: &str = "root_mem_cgroup";
/// More children than memcgs can exist below a cgroup: the list is invalid.
const CHILDREN_MAX: usize = 1 << 17;

/// Returns the layout, proven on the running kernel.
pub fn prove(controller: &Controller) -> Result<(Layout, DentryLayout), ProofError> {
    let tree = Tree::open().map_err(|error| ProofError::Unreadable(error.to_string()))?;
    let path = witness(controller);
    let refuted = |seen: &str| ProofError::Refuted { seen: seen.to_owned(), is: path.display().to_string() };
    let cgroup = tree.find(&path).ok_or_else(|| refuted("no cgroup"))?;
    let inode_number =
        tree.inode_number(cgroup, &path, controller).map_err(|error| refuted(&error.to_string()))?;
    let layout = Layout {
        css_cgroup: CSS_CGROUP,
        memcg_id: MEMCG_ID,
        memcg_usage: MEMCG_USAGE,
        cgroup_kn: CGROUP_DENTRY,
        cgroup_memory: tree.memory,
        kn_name: DENTRY_NAME,
        kn_parent: DENTRY_PARENT,
        ..Layout::UNKNOWN
    };
    let dentry = DentryLayout { cgroup_parent: CGROUP_PARENT, dentry_inode: DENTRY_INODE, inode_number };
    Ok((layout, dentry))
}

/// Path of our own cgroup; if that is the root, which proves little, a directory below it.
fn witness(controller: &Controller) -> PathBuf {
    let own = own_path();
    if own != Path::new("/") {
        return own;
    }
    let entries = fs::read_dir(&controller.mount).into_iter().flatten().flatten();
    let mut directories = entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
    directories.next().map_or(own, |directory| Path::new("/").join(directory.file_name()))
}

/// A cgroup and its parent.
pub struct FoundCgroup {
    pub cgroup: u64,
    pub memcg: u64,
    /// Inode number of the directory.
    pub number: u64,
    pub name: Vec<u8>,
    pub level: u32,
    pub parent_memcg: u64,
    pub parent_number: u64,
}

/// The cgroups of the memory controller's hierarchy.
pub struct Tree {
    pub kcore: Kcore,
    root: u64,
    /// `cgroup.subsys[memory]`
    memory: u32,
}

impl Tree {
    /// Opens the tree at the root memcg.
    pub fn open() -> io::Result<Self> {
        let kcore = Kcore::open().map_err(io::Error::other)?;
        let symbol = symbol(ROOT_MEMCG).map_err(io::Error::other)?;
        let foreign = || io::Error::other(format!("{ROOT_MEMCG} is not the root memcg of a known layout"));
        Self::at(kcore, symbol).ok_or_else(foreign)
    }

    /// The root memcg has ID 1, and its cgroup, which has no parent, points back to it.
    fn at(kcore: Kcore, root_memcg: u64) -> Option<Self> {
        let memcg: u64 = kcore.member(root_memcg, 0)?;
        let root: u64 = kcore.member(memcg, CSS_CGROUP)?;
        let mut places = (0..SUBSYS_MAX).map(|number| CGROUP_SUBSYS + 8 * number);
        let memory = places.find(|place| kcore.member(root, *place) == Some(memcg))?;
        let is_root =
            kcore.member(root, CGROUP_PARENT) == Some(0_u64) && kcore.member(memcg, MEMCG_ID) == Some(1_u16);
        is_root.then_some(Self { kcore, root, memory })
    }

    /// All cgroups, parents before children.
    pub fn all(&self, dentry: &DentryLayout) -> Vec<FoundCgroup> {
        let mut all = Vec::new();
        let mut pending = VecDeque::from([(self.root, 0, 0, 0)]);
        while let Some((cgroup, level, parent_memcg, parent_number)) = pending.pop_front() {
            let (Some(memcg), Some(number), Some(name)) = (
                self.kcore.member(cgroup, self.memory),
                self.number(cgroup, dentry.inode_number),
                self.name(cgroup),
            ) else {
                continue;
            };
            pending.extend(self.children(cgroup).map(|child| (child, level + 1, memcg, number)));
            all.push(FoundCgroup { cgroup, memcg, number, name, level, parent_memcg, parent_number });
            if all.len() > CHILDREN_MAX {
                break;
            }
        }
        all
    }

    /// The cgroup pointer of a memcg, which may be dangling. 0: not set yet.
    pub fn cgroup(&self, memcg: u64) -> Option<u64> {
        self.kcore.member(memcg, CSS_CGROUP)
    }

    /// Inode number of the cgroup's directory, read at offset `place` of the inode.
    fn number(&self, cgroup: u64, place: u32) -> Option<u64> {
        let inode = self.kcore.member(self.kcore.member(cgroup, CGROUP_DENTRY)?, DENTRY_INODE)?;
        self.kcore.member(inode, place)
    }

    /// The cgroup with this path.
    fn find(&self, path: &Path) -> Option<u64> {
        let mut names = path.components().map(|component| component.as_os_str()).filter(|name| *name != "/");
        names.try_fold(self.root, |cgroup, name| {
            self.children(cgroup).find(|child| self.name(*child).as_deref() == Some(name.as_bytes()))
        })
    }

    fn children(&self, cgroup: u64) -> impl Iterator<Item = u64> {
        let head = cgroup + u64::from(CGROUP_CHILDREN);
        let mut entry = head;
        let next = move || {
            entry = self.kcore.member(entry, 0)?;
            (entry != head).then(|| entry.wrapping_sub(CGROUP_SIBLING.into()))
        };
        std::iter::from_fn(next).take(CHILDREN_MAX)
    }

    /// Name of its directory.
    pub fn name(&self, cgroup: u64) -> Option<Vec<u8>> {
        let dentry = self.kcore.member(cgroup, CGROUP_DENTRY)?;
        self.kcore.string(self.kcore.member(dentry, DENTRY_NAME)?, NAME_MAX)
    }

    /// Finds the offset of `i_ino`: it must match this directory and the root.
    fn inode_number(&self, cgroup: u64, path: &Path, controller: &Controller) -> io::Result<u32> {
        let directory = controller.mount.join(path.strip_prefix("/").unwrap_or(path));
        let (own, root) = (fs::metadata(&directory)?.ino(), fs::metadata(&controller.mount)?.ino());
        let is = |place: &u32| {
            self.number(cgroup, *place) == Some(own) && self.number(self.root, *place) == Some(root)
        };
        let place = INODE_NUMBERS.into_iter().find(is);
        place.ok_or_else(|| io::Error::other("another directory"))
    }
}
