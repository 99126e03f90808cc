//! Paths of dentries, from the root of their file system.

use foldhash::{HashMap, HashMapExt as _};

use super::layout::DentryLayout;
use crate::kernel::memory::{Members, Memory, MemoryError};

/// More levels than any path has (`PATH_MAX` of 4,096 bytes, a byte and a slash each).
const LEVELS_MAX: usize = 2048;

/// The place of a dentry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DentryPath {
    /// Begins with a slash, but for a dentry that is a root of its own.
    pub path: Box<[u8]>,
    /// It is its own parent although it is no root of a file system: a file that has a name in no directory.
    pub is_alone: bool,
}

/// One dentry on the way.
#[derive(Clone, Debug)]
struct DentryStep {
    parent: u64,
    name: Option<Box<[u8]>>,
}

/// Follows each dentry to its root. `None`: it changed meanwhile, or is none.
pub(super) fn read(
    memory: &mut dyn Memory,
    layout: &DentryLayout,
    dentries: &[u64],
) -> Result<Vec<Option<DentryPath>>, MemoryError> {
    let mut steps: HashMap<u64, DentryStep> = HashMap::new();
    let mut level: Vec<u64> = dentries.to_vec();
    for _ in 0..LEVELS_MAX {
        level.retain(|dentry| *dentry != 0 && !steps.contains_key(dentry));
        level.sort_unstable();
        level.dedup();
        if level.is_empty() {
            break;
        }
        let rows = memory.rows(&level, &Members::of(&[layout.parent, layout.length, layout.name]))?;
        let names = memory.strings(&rows.pointers(layout.name))?;
        let mut above = Vec::with_capacity(level.len());
        for (row, (dentry, name)) in level.iter().zip(names).enumerate() {
            let length: Option<u32> = rows.get(row, layout.length);
            // One that is being renamed has a length of its old name, and the other name.
            let name = name.filter(|name| length == Some(name.len() as u32));
            let parent = rows.pointer(row, layout.parent);
            steps.insert(*dentry, DentryStep { parent, name });
            above.push(parent);
        }
        level = above;
    }
    Ok(dentries.iter().map(|dentry| path(&steps, *dentry)).collect())
}

fn path(steps: &HashMap<u64, DentryStep>, dentry: u64) -> Option<DentryPath> {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut at = dentry;
    for _ in 0..LEVELS_MAX {
        let step = steps.get(&at)?;
        let name = step.name.as_deref()?;
        if step.parent == at {
            let is_alone = names.is_empty() && name != b"/";
            let mut path = Vec::new();
            for name in names.iter().rev() {
                path.push(b'/');
                path.extend_from_slice(name);
            }
            match (is_alone, names.is_empty()) {
                (true, _) => path.extend_from_slice(name),
                (false, true) => path.push(b'/'),
                (false, false) => {}
            }
            return Some(DentryPath { path: path.into(), is_alone });
        }
        names.push(name);
        at = step.parent;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(dentries: &[(u64, u64, &str)]) -> HashMap<u64, DentryStep> {
        let step = |(dentry, parent, name): &(u64, u64, &str)| {
            (*dentry, DentryStep { parent: *parent, name: Some(name.as_bytes().into()) })
        };
        dentries.iter().map(step).collect()
    }

    #[test]
    fn to_the_root_or_nowhere() {
        let steps = steps(&[
            (1, 1, "/"),
            (2, 1, "var"),
            (3, 2, "log"),
            (4, 4, "memfd:shared"),
            (5, 6, "a"),
            (6, 5, "b"),
            (7, 99, "lost"),
        ]);
        let table = [
            (1, Some(("/", false))),
            (3, Some(("/var/log", false))),
            (4, Some(("memfd:shared", true))),
            (5, None),
            (7, None),
            (8, None),
        ];
        for (dentry, expected) in table {
            let found = path(&steps, dentry);
            let found =
                found.as_ref().map(|found| (str::from_utf8(&found.path).unwrap_or("?"), found.is_alone));
            assert_eq!(found, expected, "{dentry}");
        }
    }
}
