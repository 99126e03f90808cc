//! Cgroup namespaces (cgroup_namespaces(7), since 4.6): the paths in /proc/PID/cgroup are relative to the root of the reader's
//! namespace, and begin with `/..` for a cgroup outside.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process,
};

/// Inode number of the initial cgroup namespace (`PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h).
const INITIAL: &str = "cgroup:[4026531835]";

/// Whether we are in another namespace than the initial one, so that paths are incomplete.
pub fn is_private() -> bool {
    // No such file: this kernel has no cgroup namespaces.
    fs::read_link("/proc/self/ns/cgroup").is_ok_and(|namespace| namespace != Path::new(INITIAL))
}

/// The path in the hierarchy of what is at `relative` to a namespace's root.
pub fn whole_path(root: &Path, relative: &Path) -> PathBuf {
    let mut path = root.to_owned();
    for component in relative.components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// The path of the namespace's root, if `path` in the hierarchy is `relative` to it.
pub fn root(path: &Path, relative: &Path) -> Option<PathBuf> {
    let mut names = relative.components().skip_while(|component| *component == Component::RootDir);
    let inside = names.clone().all(|component| matches!(component, Component::Normal(_)));
    let root = path.ancestors().nth(names.by_ref().count())?;
    (inside && path.ends_with(relative.strip_prefix("/").unwrap_or(relative))).then(|| root.to_owned())
}

/// Whether our process is in the cgroup of this directory.
pub fn is_ours(directory: &Path) -> bool {
    let tasks = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let own = process::id().to_string();
    tasks.lines().any(|task| task == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_relative_to_a_namespace() {
        let table = [
            ("/kubepods/pod1/abc", "/", "/kubepods/pod1/abc"),
            ("/kubepods/pod1/abc", "/init.scope", "/kubepods/pod1/abc/init.scope"),
            ("/kubepods/pod1/abc", "/../def", "/kubepods/pod1/def"),
            ("/kubepods/pod1/abc", "/../../../system.slice/sshd.service", "/system.slice/sshd.service"),
            ("/kubepods", "/..", "/"),
            ("/", "/a", "/a"),
        ];
        for (root, relative, path) in table {
            let whole = whole_path(Path::new(root), Path::new(relative));
            assert_eq!(whole, Path::new(path), "{relative} in {root}");
        }
    }

    #[test]
    fn roots_of_namespaces() {
        let table = [
            ("/a/b", "/", Some("/a/b")),
            ("/a/b/c", "/c", Some("/a/b")),
            ("/a/b", "/a/b", Some("/")),
            ("/", "/", Some("/")),
            // Outside: its own name is not known. Not the same cgroup.
            ("/a/b", "/../b", None),
            ("/a/b", "/c", None),
            ("/b", "/a/b", None),
        ];
        for (path, relative, expected) in table {
            let found = root(Path::new(path), Path::new(relative));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{path} is {relative}");
        }
    }
}
