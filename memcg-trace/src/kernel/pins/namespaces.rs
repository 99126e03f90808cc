//! Namespaces, and what keeps them: tasks that live in them, descriptors, bind mounts. A cgroup namespace has a css_set as its
//! root; sockets have a network namespace.

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::ABSENT;

use super::{
    css_sets::CssSets,
    fds::OpenFiles,
    mounts::Mounts,
    pass::Pass,
    super_blocks::SuperBlock,
    tasks::{Tasks, Thread},
};
use crate::{
    cause::{Holder, How},
    kernel::memory::{Lists, Members, MemoryError},
};

/// More mounts of namespaces than there are.
const MOUNTS_MAX: usize = 1 << 20;
/// As many are followed between two looks at the time: tenants can make them.
const MOUNTS_STEP: usize = 256;
const MOUNTED: &str = "namespaces that are mounted";

/// Holders of one namespace.
#[derive(Debug, Default)]
struct Kept<'a> {
    tasks: Vec<&'a Thread>,
    /// Holders by descriptors, and by mounts.
    others: Vec<Holder>,
}

/// All namespaces that something was found to keep, by the addresses of their `struct ns_common`.
#[derive(Debug, Default)]
pub(super) struct Namespaces<'a>(HashMap<u64, Kept<'a>>);

impl<'a> Namespaces<'a> {
    pub fn read(
        pass: &mut Pass<'_>,
        tasks: &'a Tasks,
        open: &OpenFiles<'_>,
        super_blocks: &[SuperBlock],
        mounts: &mut Mounts,
    ) -> Result<Self, MemoryError> {
        let mut namespaces = Self(HashMap::new());
        namespaces.lived_in(pass, tasks)?;
        for file in open.on(b"nsfs") {
            namespaces.0.entry(file.inode_private).or_default().others.extend(open.holders(tasks, file));
        }
        namespaces.mounted(pass, super_blocks, mounts)?;
        Ok(namespaces)
    }

    /// Those that tasks live in.
    fn lived_in(&mut self, pass: &mut Pass<'_>, tasks: &'a Tasks) -> Result<(), MemoryError> {
        let layout = pass.layout;
        let by_proxy: Vec<(u64, Vec<&Thread>)> = tasks.by(|task| task.namespaces).into_iter().collect();
        let proxies: Vec<u64> = by_proxy.iter().map(|(proxy, _)| *proxy).collect();
        let rows = pass.memory.rows(&proxies, &Members::of(&[layout.nsproxy.cgroup, layout.nsproxy.net]))?;
        for (row, (_, tasks)) in by_proxy.into_iter().enumerate() {
            let kinds = [
                (layout.nsproxy.cgroup, layout.cgroup_namespace.common),
                (layout.nsproxy.net, layout.net.common),
            ];
            for (member, common) in kinds {
                let namespace = rows.pointer(row, member);
                if namespace != 0 && common != ABSENT {
                    let kept = self.0.entry(namespace.wrapping_add(common.into())).or_default();
                    kept.tasks.extend(&tasks);
                }
            }
        }
        Ok(())
    }

    /// Those that are mounted somewhere: mounts of nsfs, whose roots are namespaces.
    fn mounted(
        &mut self,
        pass: &mut Pass<'_>,
        super_blocks: &[SuperBlock],
        mounts: &mut Mounts,
    ) -> Result<(), MemoryError> {
        let layout = pass.layout;
        let Some(nsfs) = super_blocks.iter().find(|super_block| *super_block.file_system == *b"nsfs") else {
            return Ok(());
        };
        let first = nsfs.address.wrapping_add(layout.super_block.mounts.into());
        let found = if layout.mount.next != ABSENT {
            chained(pass, first)?
        } else if layout.mount.of_super_block != ABSENT {
            pass.memory.list(first, Lists { node: layout.mount.of_super_block, limit: MOUNTS_MAX })?.entries
        } else {
            pass.unread(MOUNTED, "BTF does not describe mounts");
            return Ok(());
        };
        let path = [layout.mount.root, layout.dentry.inode, layout.inode.private];
        let mut addresses = pass.memory.chase(&found, &path)?;
        // The mount that the kernel has of it for itself is of no namespace.
        addresses.retain(|address| *address != 0);
        let rows = pass
            .memory
            .rows(&addresses, &Members::of(&[layout.namespace.operations, layout.namespace.number]))?;
        let operations = rows.pointers(layout.namespace.operations);
        let names = pass.memory.pointers(&operations, layout.namespace_operations.name)?;
        let names = pass.memory.strings(&names)?;
        for (row, (address, name)) in addresses.into_iter().zip(names).enumerate() {
            let number = rows.get::<u32>(row, layout.namespace.number);
            let (Some(name), Some(number)) = (name, number) else { continue };
            let root = [&name, &b":["[..], number.to_string().as_bytes(), b"]"].concat();
            let holders = mounts
                .of_root(&root, || pass.is_late(MOUNTED))
                .into_iter()
                .map(|mount| Holder { process: None, how: How::Mounted { point: mount.point } });
            self.0.entry(address).or_default().others.extend(holders);
        }
        Ok(())
    }

    /// Holders of the namespace with this `struct ns_common`.
    pub fn holders(&self, tasks: &Tasks, common: u64) -> Vec<Holder> {
        let Some(kept) = self.0.get(&common) else { return Vec::new() };
        let lives = |task: &&Thread| Holder { process: Some(tasks.process(task)), how: How::InNamespace };
        let mut holders: Vec<Holder> = kept.tasks.iter().map(lives).collect();
        holders.extend(kept.others.iter().cloned());
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// Adds cgroup namespaces to the holders of the css_sets that are their roots.
    pub fn hold(
        &self,
        pass: &mut Pass<'_>,
        tasks: &Tasks,
        css_sets: &mut CssSets,
    ) -> Result<(), MemoryError> {
        let layout = pass.layout;
        let operations = pass.memory.pointers(&self.addresses(), layout.namespace.operations)?;
        let names = pass.memory.pointers(&operations, layout.namespace_operations.name)?;
        let names = pass.memory.strings(&names)?;
        let of_cgroups =
            self.addresses().into_iter().zip(names).filter(|(_, name)| name.as_deref() == Some(b"cgroup"));
        let common: Vec<u64> = of_cgroups.map(|(address, _)| address).collect();
        let start = |address: &u64| address.wrapping_sub(layout.cgroup_namespace.common.into());
        let namespaces: Vec<u64> = common.iter().map(start).collect();
        let roots = pass.memory.pointers(&namespaces, layout.cgroup_namespace.css_set)?;
        for (common, root) in common.into_iter().zip(roots) {
            if let Some((_, holders)) = css_sets.get_mut(&root) {
                holders.extend(self.holders(tasks, common));
            }
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<u64> {
        let mut addresses: Vec<u64> = self.0.keys().copied().collect();
        addresses.sort_unstable();
        addresses
    }
}

/// A process of each mount namespace.
pub(super) fn of_mounts(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<Vec<u32>, MemoryError> {
    let mut by_proxy: Vec<(u64, u32)> = tasks
        .by(|task| if task.exited { 0 } else { task.namespaces })
        .into_iter()
        .filter_map(|(proxy, tasks)| Some((proxy, tasks.iter().map(|task| task.tgid).min()?)))
        .collect();
    by_proxy.sort_unstable_by_key(|(_, pid)| *pid);
    let proxies: Vec<u64> = by_proxy.iter().map(|(proxy, _)| *proxy).collect();
    let namespaces = pass.memory.pointers(&proxies, pass.layout.nsproxy.mount)?;
    let mut seen = foldhash::HashSet::default();
    let fresh = by_proxy.into_iter().zip(namespaces).filter(|(_, namespace)| seen.insert(*namespace));
    Ok(fresh.map(|((_, pid), _)| pid).collect())
}

/// The mounts of a super block, from the pointer to the first of them on (since 6.18).
fn chained(pass: &mut Pass<'_>, first: u64) -> Result<Vec<u64>, MemoryError> {
    let next = pass.layout.mount.next;
    let (mut mounts, mut from) = (Vec::new(), first);
    loop {
        let found = pass.memory.chain(from, next, MOUNTS_STEP)?;
        mounts.extend_from_slice(&found.entries);
        match found.entries.last() {
            Some(last) if !found.complete && mounts.len() < MOUNTS_MAX && !pass.is_late(MOUNTED) => {
                from = last.wrapping_add(next.into());
            }
            _ => return Ok(mounts),
        }
    }
}
