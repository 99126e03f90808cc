//! Reads our own cgroup through the layout and /proc/kcore, on kernels that cannot run programs on demand.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use memcg_trace_common::{EventHeader, Field, Layout, NAME_MAX, OWN_LEVELS};
use zerocopy::{FromBytes, FromZeros as _};

use super::own_cgroup::OwnCgroup;
use crate::kernel::memory::kcore::{Kcore, KcoreError};

/// Like the program `own_cgroup`. An invalid pointer results in an [`OwnCgroup`] that proves nothing.
pub fn read(layout: &Layout) -> Result<OwnCgroup, KcoreError> {
    let kcore = Kcore::open()?;
    let css_set = kcore.own_task()?.get(layout.task_cgroups).unwrap_or(0);
    let css = kcore.member(css_set, layout.css_set_memory).unwrap_or(0);
    let follow = |base: u64, offset: u32| kcore.member::<u64>(base, offset).unwrap_or(0);
    let name = |base: u64, offset: u32| kcore.string(follow(base, offset), NAME_MAX).unwrap_or_default();
    let cgroup = follow(css, layout.css_cgroup);
    let kn = follow(cgroup, layout.cgroup_kn);
    let mut directories: Vec<_> = ancestors(&kcore, kn, layout.kn_parent).collect();
    let complete =
        directories.last().is_some_and(|last| kcore.member(*last, layout.kn_parent) == Some(0_u64));
    directories.reverse();
    let mut path = PathBuf::from("/");
    path.extend(directories.into_iter().map(|kn| OsStr::from_bytes(&name(kn, layout.kn_name)).to_owned()));
    let root_css = ancestors(&kcore, css, layout.css_parent).last().unwrap_or(0);
    Ok(OwnCgroup {
        controller: name(follow(css, layout.css_ss), layout.ss_name),
        path,
        complete,
        cgroup_id: layout.inode_number(follow(kn, layout.kn_id)),
        root: follow(cgroup, layout.cgroup_root),
        root_css: header(&kcore, root_css, layout),
    })
}

/// `address`, then its parent, and so on.
fn ancestors(kcore: &Kcore, address: u64, parent: u32) -> impl Iterator<Item = u64> {
    let first = Some(address).filter(|address| *address != 0);
    std::iter::successors(first, move |child| kcore.member(*child, parent).filter(|parent| *parent != 0))
        .take(OWN_LEVELS as usize)
}

/// The ids of a root, and whether it has a parent.
fn header(kcore: &Kcore, css: u64, layout: &Layout) -> EventHeader {
    let mut header = EventHeader::new_zeroed();
    let mut known = 0;
    let mut member = |base: u64, offset: u32, field: u32| {
        let value = read_member::<u32>(kcore, base, offset);
        known |= if value.is_some() { field } else { 0 };
        value.unwrap_or(0)
    };
    header.css_id = member(css, layout.css_id, Field::CSS_ID);
    header.css_flags = member(css, layout.css_flags, Field::CSS_FLAGS);
    header.memcg_id = member(css, layout.memcg_id, Field::MEMCG_ID);
    let cgroup = read_member(kcore, css, layout.css_cgroup).unwrap_or(0);
    header.level = member(cgroup, layout.cgroup_level, Field::LEVEL);
    let parent = read_member(kcore, css, layout.css_parent).filter(|parent: &u64| *parent != 0);
    header.known = known | if parent.is_some() { Field::PARENT } else { 0 };
    header
}

/// A member, if this kernel has it.
fn read_member<T: FromBytes>(kcore: &Kcore, base: u64, offset: u32) -> Option<T> {
    (offset != memcg_trace_common::ABSENT).then(|| kcore.member(base, offset))?
}
