//! The kernel's list of slab caches: /sys/kernel/slab, and /proc/slabinfo for their names and objects.
//!
//! A mergeable cache has a directory named by an id like `:0000128`, and a symlink for each name. `ls /sys/kernel/slab
//! | wc -l` overcounts, because the kernel never removes the links of caches that are gone, nor of merged caches that
//! were destroyed.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::ffi::OsStringExt as _,
    path::Path,
};

use thiserror::Error;

use crate::{
    kernel::{ability::Lack, clock},
    slab::{Listed, Listing, Symbol},
};

const SYSFS: &str = "/sys/kernel/slab";
const SLABINFO: &str = "/proc/slabinfo";

/// The reason why the caches cannot be listed.
#[derive(Debug, Error)]
pub enum SlabListError {
    #[error(
        "this kernel lists no slab caches: neither {SYSFS} nor {SLABINFO} can be read ({0}); the latter requires root"
    )]
    None(io::Error),
}

impl Lack for SlabListError {
    fn next_step(&self) -> String {
        match self {
            Self::None(_) => "mount /proc and /sys, and run it as root".to_owned(),
        }
    }
}

/// Reads the current list.
pub fn read() -> Result<Listing, SlabListError> {
    let began_ns = clock::monotonic_ns();
    let info = fs::read(SLABINFO);
    let rows = slabinfo(info.as_deref().unwrap_or_default());
    let by_name: HashMap<&[u8], &Row<'_>> = rows.iter().map(|row| (row.name, row)).collect();
    let mut listing = match (fs::read_dir(SYSFS), &info) {
        (Ok(entries), _) => sysfs(entries, &by_name),
        // The SLAB allocator (up to 6.7), or a kernel without sysfs.
        (Err(_), Ok(_)) => Listing { caches: rows.iter().map(Row::listed).collect(), ..Listing::default() },
        (Err(error), Err(_)) => return Err(SlabListError::None(error)),
    };
    (listing.began_ns, listing.ended_ns) = (began_ns, clock::monotonic_ns());
    Ok(listing)
}

/// Names and sizes in /proc/slabinfo. It does not list copies for memcgs, but counts them with their root caches.
pub fn sizes() -> io::Result<BTreeMap<Box<[u8]>, u32>> {
    let info = fs::read(SLABINFO)?;
    Ok(slabinfo(&info).iter().map(|row| (row.name.into(), row.size.unwrap_or(0))).collect())
}

/// One line of /proc/slabinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row<'a> {
    name: &'a [u8],
    objects: (u64, u64),
    size: Option<u32>,
}

impl Row<'_> {
    fn listed(&self) -> Listed {
        Listed {
            dir: self.name.into(),
            name: self.name.into(),
            size: self.size,
            objects: Some(self.objects),
            ..Listed::default()
        }
    }
}

/// `name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables ...` after two header lines. Names
/// may contain spaces: parse from the right.
fn slabinfo(text: &[u8]) -> Vec<Row<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(row).collect()
}

fn row(line: &[u8]) -> Option<Row<'_>> {
    let end = line.windows(9).rposition(|part| part == b": tunable")?;
    let mut rest = line[..end].trim_ascii_end();
    let mut number = || {
        let blank = rest.iter().rposition(|&byte| byte == b' ')?;
        let number = str::from_utf8(&rest[blank + 1..]).ok()?.parse::<u64>().ok();
        rest = rest[..blank].trim_ascii_end();
        number
    };
    let (_pages, _in_a_slab, size, all, active) = (number()?, number()?, number()?, number()?, number()?);
    Some(Row { name: rest, objects: (active, all), size: size.try_into().ok() })
}

fn sysfs(entries: fs::ReadDir, rows: &HashMap<&[u8], &Row<'_>>) -> Listing {
    let mut listing = Listing::default();
    let mut links: HashMap<Vec<u8>, Vec<Box<[u8]>>> = HashMap::new();
    let mut dirs = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().into_vec();
        match fs::read_link(entry.path()) {
            Ok(target) => links.entry(target.into_os_string().into_vec()).or_default().push(name.into()),
            Err(_) => dirs.push((name, entry.path())),
        }
    }
    dirs.sort_unstable();
    for (dir, path) in dirs {
        let mut links = links.remove(&dir).unwrap_or_default();
        links.sort_unstable();
        listing.caches.push(cache(dir, &path, links, rows));
    }
    listing.stale_links = links.values().map(|links| links.len() as u64).sum();
    listing
}

fn cache(dir: Vec<u8>, path: &Path, links: Vec<Box<[u8]>>, rows: &HashMap<&[u8], &Row<'_>>) -> Listed {
    let attribute = |name: &str| fs::read(path.join(name)).ok();
    let number = |name: &str| {
        let text = attribute(name)?;
        str::from_utf8(&text).ok()?.trim().parse::<i64>().ok()
    };
    let size = |name: &str| number(name).and_then(|size| size.try_into().ok());
    // The cache's own name is in the list of names.
    let ctor = constructor(&attribute("ctor").unwrap_or_default());
    let row = rows.get(&*dir).or_else(|| links.iter().find_map(|link| rows.get(&**link)));
    Listed {
        name: row.map_or(&*dir, |row| row.name).into(),
        dir: dir.into(),
        links,
        object_size: size("object_size"),
        size: size("slab_size"),
        objects: row.map(|row| row.objects),
        ctor_gone: ctor == Some(None),
        ctor: ctor.flatten(),
        aliases: number("aliases"),
    }
}

/// `init_once+0x0/0x20 [btrfs]`. `None`: it has no constructor; `Some(None)`: the code of its constructor is gone, as
/// there is no function at the address (the kernel then prints the address), or the middle of another one.
fn constructor(text: &[u8]) -> Option<Option<Symbol>> {
    let mut words = text.trim_ascii().split(u8::is_ascii_whitespace);
    let (place, module) = (words.next().filter(|place| !place.is_empty())?, words.next());
    let Some(end) = place.windows(5).position(|part| part == b"+0x0/") else { return Some(None) };
    let module = module.and_then(|module| module.strip_prefix(b"[")?.strip_suffix(b"]"));
    Some(Some(Symbol { function: place[..end].into(), offset: 0, module: module.map(Into::into) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_slabinfo() {
        let text = b"slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> \
            <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata\n\
            xfs_inode             12     34   1024   32    8 : tunables    0    0    0 : slabdata      2      2      0\n\
            odd name 7             1      2    104   39    1 : tunables    0    0    0 : slabdata      0      0      0\n";
        let rows = slabinfo(text);
        let expected = [
            Row { name: b"xfs_inode", objects: (12, 34), size: Some(1024) },
            Row { name: b"odd name 7", objects: (1, 2), size: Some(104) },
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn constructors() {
        let of = |text: &[u8]| {
            constructor(text).map(|symbol| symbol.map(|symbol| (symbol.function, symbol.module)))
        };
        let found =
            |function: &[u8], module: Option<&[u8]>| Some(Some((function.into(), module.map(Into::into))));
        assert_eq!(of(b"init_once+0x0/0x20 [btrfs]\n"), found(b"init_once", Some(b"btrfs")));
        assert_eq!(of(b"init_once+0x0/0x20\n"), found(b"init_once", None));
        assert_eq!(of(b""), None);
        assert_eq!(of(b"0xffffffffc0123450\n"), Some(None));
        assert_eq!(of(b"xfs_error_report+0x10/0x80 [xfs]\n"), Some(None));
    }
}
