//! Names for folios: files with the processes that have them open or mapped, anonymous memory with its processes.

use std::collections::BTreeSet;

use foldhash::HashMap;

use super::{
    areas,
    fds::OpenFiles,
    files,
    groups::{Groups, Whole},
    ipc, ksm,
    laps::Laps,
    mounts::Mounts,
    pass::Pass,
    tasks::Tasks,
};
use crate::{
    cause::{File, FileKind, Folios, Holder, How, Thing},
    kernel::memory::MemoryError,
};

/// Anonymous memory of the same processes is told as one.
type Anon = HashMap<(usize, Vec<Holder>), Folios>;

/// Tells all folios.
pub(super) fn refer(
    pass: &mut Pass<'_>,
    mut groups: Groups,
    tasks: &Tasks,
    open: &OpenFiles<'_>,
    mounts: &mut Mounts,
) -> Result<(), MemoryError> {
    let page = pass.layout.page;
    for ((memcg, kind), folios) in groups.take_kernel() {
        pass.refer(memcg, page.refs(&folios), Thing::KernelPages { kind, folios }, Vec::new());
    }
    slabs(pass, groups.take_slabs())?;
    let groups = groups.into_sorted();
    let mappings: Vec<u64> = distinct(&groups, |whole| match whole {
        Whole::Mapping(address) => Some(address),
        _ => None,
    });
    let mut laps = Laps::start();
    let hosts = files::hosts(pass.memory, &pass.layout.mapping, &mappings)?;
    let inodes: Vec<u64> = hosts.iter().map(|(inode, _)| *inode).collect();
    let mut found = files::read(pass.memory, pass.layout, mounts, &inodes)?;
    laps.end("names of files");
    find_ipc(pass, tasks, &inodes, &mut found)?;
    let mapped = areas::of_files(pass.memory, pass.layout, tasks, &mappings)?;
    laps.end("who maps files");
    let mut files = HashMap::default();
    for (((mapping, (inode, pages)), file), holders) in mappings.iter().zip(hosts).zip(found).zip(mapped) {
        let Some(mut file) = file else { continue };
        file.cached_pages = pages;
        let attached = file.kind == FileKind::SysvShm;
        let how = |holder: Holder| if attached { Holder { how: How::Attached, ..holder } } else { holder };
        let mut holders: Vec<Holder> = holders.into_iter().map(how).collect();
        holders.extend(open.of(inode).flat_map(|file| open.holders(tasks, file)));
        holders.sort_unstable();
        holders.dedup();
        files.insert(*mapping, (file, holders));
    }
    let nodes = distinct(&groups, |whole| match whole {
        Whole::Ksm(node) => Some(node),
        _ => None,
    });
    let sharers = ksm::sharers(pass, &nodes)?;
    let anons = distinct(&groups, |whole| match whole {
        Whole::Anon(address) => Some(address),
        _ => None,
    });
    let anons: BTreeSet<u64> = anons.into_iter().chain(sharers.values().flatten().copied()).collect();
    let anons: Vec<u64> = anons.into_iter().collect();
    let processes = areas::of_anon(pass.memory, pass.layout, tasks, &anons)?;
    let processes: HashMap<u64, Vec<Holder>> = anons.into_iter().zip(processes).collect();
    let mut left: HashMap<Whole, usize> = HashMap::default();
    groups.iter().for_each(|((_, whole), _)| *left.entry(*whole).or_default() += 1);
    let mut anon = Anon::default();
    for ((memcg, whole), folios) in groups {
        let last = left.get_mut(&whole).is_none_or(|left| {
            *left -= 1;
            *left == 0
        });
        match whole {
            Whole::Mapping(mapping) => {
                // Most files are of one memcg, and there may be many: two of each would take twice the memory.
                let known = if last { files.remove(&mapping) } else { files.get(&mapping).cloned() };
                if let Some((file, holders)) = known {
                    let hugetlb = if file.kind == FileKind::Hugetlbfs { folios.folios } else { 0 };
                    let folios = Folios { hugetlb, ..folios };
                    pass.refer(memcg, page.refs(&folios), Thing::File { file, folios }, holders);
                } else {
                    pass.refer(memcg, page.refs(&folios), Thing::Detached { folios }, Vec::new());
                }
            }
            Whole::Anon(_) | Whole::Ksm(_) => {
                let holders = match whole {
                    Whole::Ksm(node) => {
                        let sharers = sharers.get(&node).into_iter().flatten();
                        let of_each = sharers.filter_map(|anon| processes.get(anon)).flatten();
                        let distinct: BTreeSet<Holder> = of_each.cloned().collect();
                        distinct.into_iter().collect()
                    }
                    Whole::Anon(address) => processes.get(&address).cloned().unwrap_or_default(),
                    _ => Vec::new(),
                };
                super::folio::add(anon.entry((memcg, holders)).or_default(), &folios);
            }
            Whole::Nothing => pass.refer(memcg, page.refs(&folios), Thing::Detached { folios }, Vec::new()),
        }
    }
    let mut anon: Vec<_> = anon.into_iter().collect();
    anon.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for ((memcg, holders), folios) in anon {
        pass.refer(memcg, page.refs(&folios), Thing::Anon { folios }, holders);
    }
    Ok(())
}

/// Pages of slab caches, by the names of the caches.
fn slabs(pass: &mut Pass<'_>, slabs: Vec<((usize, u64), Folios)>) -> Result<(), MemoryError> {
    let caches: Vec<u64> = slabs.iter().map(|((_, cache), _)| *cache).collect();
    let names = pass.memory.pointers(&caches, pass.layout.slab_cache.name)?;
    let names = pass.memory.strings(&names)?;
    for (((memcg, _), folios), name) in slabs.into_iter().zip(names) {
        let name = name.unwrap_or_default();
        pass.refer(memcg, pass.layout.page.refs(&folios), Thing::SlabCache { name }, Vec::new());
    }
    Ok(())
}

/// The IPC namespaces of System V segments.
fn find_ipc(
    pass: &mut Pass<'_>,
    tasks: &Tasks,
    inodes: &[u64],
    files: &mut [Option<File>],
) -> Result<(), MemoryError> {
    let mut of: Vec<(u64, &mut File)> = inodes
        .iter()
        .zip(files)
        .filter_map(|(inode, file)| Some((*inode, file.as_mut()?)))
        .filter(|(_, file)| file.kind == FileKind::SysvShm)
        .collect();
    let segments: Vec<(u64, u64)> = of.iter().map(|(inode, file)| (*inode, file.inode)).collect();
    let namespaces = ipc::of_segments(pass, tasks, &segments)?;
    for ((_, file), namespace) in of.iter_mut().zip(namespaces) {
        file.ipc = namespace;
    }
    Ok(())
}

fn distinct(groups: &[((usize, Whole), Folios)], of: impl Fn(Whole) -> Option<u64>) -> Vec<u64> {
    let mut addresses: Vec<u64> = groups.iter().filter_map(|((_, whole), _)| of(*whole)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
