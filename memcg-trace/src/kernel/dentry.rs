//! The layout of kernels whose cgroups are dentries (3.10). No type information describes them, so it is written down here.
//! Nothing of it is believed before our own cgroup, read through it, was the one that /proc/self/cgroup and the inode of the
//! directory name; what options move is looked for.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use memcg_trace_common::{DentryLayout, Layout, NAME_MAX};

use super::{
    controller::Controller,
    kcore::Kcore,
    proof::{self, ProofError},
    symbols::symbol,
};

/// `cgroup_subsys_state.cgroup`
const CSS_CGROUP: u32 = 0;
/// `mem_cgroup.id`, 16 bits; the 16 behind them are padding, which stays zero.
pub(super) const MEMCG_ID: u32 = 64;
/// `mem_cgroup.memory`, a page counter, which begins with its count.
pub(super) const MEMCG_USAGE: u32 = 72;
/// `cgroup.sibling`, an entry in the list of the parent's children.
const CGROUP_SIBLING: u32 = 16;
/// `cgroup.children`, the head of that list.
const CGROUP_CHILDREN: u32 = 32;
/// `cgroup.parent`
const CGROUP_PARENT: u32 = 64;
/// `cgroup.dentry`
const CGROUP_DENTRY: u32 = 72;
/// `cgroup.subsys[]`; the controllers that are built in are numbered as they are listed.
const CGROUP_SUBSYS: u32 = 88;
const SUBSYS_MAX: u32 = 16;
/// `dentry.d_parent`
const DENTRY_PARENT: u32 = 24;
/// `dentry.d_name.name`
const DENTRY_NAME: u32 = 40;
/// `dentry.d_inode`
const DENTRY_INODE: u32 = 48;
/// Where `inode.i_ino` may be: security modules and access lists come before it.
const INODE_NUMBERS: [u32; 7] = [32, 40, 48, 56, 64, 72, 80];
/// The root memcg, a pointer.
const ROOT_MEMCG: &str = "root_mem_cgroup";
/// More children than a cgroup can have memcgs below it: the list is none.
const CHILDREN_MAX: usize = 1 << 17;

/// The layout, proven on the running kernel.
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

/// Our own cgroup; if that is the root, which proves little, a directory below it.
fn witness(controller: &Controller) -> PathBuf {
    let own = proof::own_path();
    if own != Path::new("/") {
        return own;
    }
    let entries = fs::read_dir(&controller.mount).into_iter().flatten().flatten();
    let mut directories = entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
    directories.next().map_or(own, |directory| Path::new("/").join(directory.file_name()))
}

/// One cgroup, and whose child it is.
pub(super) struct Found {
    pub cgroup: u64,
    pub memcg: u64,
    /// Of the directory.
    pub number: u64,
    pub name: Vec<u8>,
    pub level: u32,
    pub parent_memcg: u64,
    pub parent_number: u64,
}

/// The cgroups of the memory controller's hierarchy.
pub(super) struct Tree {
    pub kcore: Kcore,
    root: u64,
    /// `cgroup.subsys[memory]`
    memory: u32,
}

impl Tree {
    /// From the root memcg.
    pub fn open() -> io::Result<Self> {
        let kcore = Kcore::open().map_err(io::Error::other)?;
        let symbol = symbol(ROOT_MEMCG).map_err(io::Error::other)?;
        let foreign = || io::Error::other(format!("{ROOT_MEMCG} is not what was expected of it"));
        Self::at(kcore, symbol).ok_or_else(foreign)
    }

    /// The root memcg is the first of the boot, and its cgroup's own.
    fn at(kcore: Kcore, root_memcg: u64) -> Option<Self> {
        let memcg: u64 = kcore.member(root_memcg, 0)?;
        let root: u64 = kcore.member(memcg, CSS_CGROUP)?;
        let mut places = (0..SUBSYS_MAX).map(|number| CGROUP_SUBSYS + 8 * number);
        let memory = places.find(|place| kcore.member(root, *place) == Some(memcg))?;
        let is_root =
            kcore.member(root, CGROUP_PARENT) == Some(0_u64) && kcore.member(memcg, MEMCG_ID) == Some(1_u16);
        is_root.then_some(Self { kcore, root, memory })
    }

    /// All cgroups, parents first.
    pub fn all(&self, dentry: &DentryLayout) -> Vec<Found> {
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
            all.push(Found { cgroup, memcg, number, name, level, parent_memcg, parent_number });
            if all.len() > CHILDREN_MAX {
                break;
            }
        }
        all
    }

    /// What a memcg says its cgroup is; it need not exist any more. 0: it has none yet.
    pub fn cgroup(&self, memcg: u64) -> Option<u64> {
        self.kcore.member(memcg, CSS_CGROUP)
    }

    /// Number of the cgroup's directory, which is at `place` in its inode.
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

    fn name(&self, cgroup: u64) -> Option<Vec<u8>> {
        let dentry = self.kcore.member(cgroup, CGROUP_DENTRY)?;
        self.kcore.string(self.kcore.member(dentry, DENTRY_NAME)?, NAME_MAX)
    }

    /// Where the directory's number is in its inode; the root's, too.
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
