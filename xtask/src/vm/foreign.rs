//! Programs for a VM of another architecture, where this machine's do not run: out of Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::cache::Cache;
use crate::arch::Arch;

/// Packages with the programs that are asked for.
const PROGRAMS: &[&str] = &["busybox-static", "coreutils", "dash", "findutils", "util-linux"];
const DIRECTORIES: &[&str] = &["bin", "usr/bin", "sbin", "usr/sbin"];

/// Packages with the libraries of all these programs, and those libraries.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("libc6", &["libc.so.6", "libm.so.6"]),
    ("libpcre2-8-0", &["libpcre2-8.so.0"]),
    ("libselinux1", &["libselinux.so.1"]),
];

/// The file of one of the programs.
pub fn program(arch: &'static Arch, name: &str) -> Result<PathBuf> {
    let cache = Cache::lock(arch)?;
    for package in PROGRAMS {
        let unpacked = unpacked(&cache, package)?;
        if let Some(file) = first_file(&unpacked, DIRECTORIES, name) {
            return Ok(file);
        }
    }
    bail!("none of the packages {} has {name}", PROGRAMS.join(", "))
}

/// The libraries, each with its path in the VM; the first is the dynamic loader, whose path is part of every program.
pub fn libraries(arch: &'static Arch) -> Result<Vec<(PathBuf, PathBuf)>> {
    let cache = Cache::lock(arch)?;
    let directories = [format!("lib/{}", arch.gnu), format!("usr/lib/{}", arch.gnu)];
    let directories = directories.each_ref().map(String::as_str);
    let loader = Path::new(arch.loader);
    let own = unpacked(&cache, "libc6")?.join(loader.strip_prefix("/").unwrap_or(loader));
    let mut files = vec![(own, loader.to_owned())];
    for (package, names) in LIBRARIES {
        let unpacked = unpacked(&cache, package)?;
        for name in *names {
            let file = first_file(&unpacked, &directories, name);
            let file = file.with_context(|| format!("the package {package} has no {name}"))?;
            files.push((file, Path::new("/lib").join(arch.gnu).join(name)));
        }
    }
    Ok(files)
}

fn first_file(root: &Path, directories: &[&str], name: &str) -> Option<PathBuf> {
    directories.iter().map(|directory| root.join(directory).join(name)).find(|path| path.is_file())
}

/// The unpacked package of the release; what was fetched once stays.
fn unpacked(cache: &Cache, name: &str) -> Result<PathBuf> {
    if let Some(kept) = cache.kept(name) {
        return Ok(kept);
    }
    cache.package(&cache.archive()?.of_suite(name)?, |_| false)
}
