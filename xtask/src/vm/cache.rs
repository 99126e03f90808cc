//! What was fetched from Debian's archive, for all checkouts of a user.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::archive::{Archive, PARTIAL, Package};
use crate::arch::Arch;
use crate::process::step;

/// A directory outside the target directory, one for each architecture: kernels outlive `cargo clean`.
pub struct Cache {
    directory: PathBuf,
    arch: &'static Arch,
    _lock: File,
}

impl Cache {
    /// Waits for other tasks that use it: of two that want the same kernel, the second uses what the first has fetched.
    pub fn lock(arch: &'static Arch) -> Result<Self> {
        let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
            (Some(dir), _) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
            (_, Some(home)) => Path::new(&home).join(".cache"),
            _ => bail!("no place for the kernel cache: set HOME or XDG_CACHE_HOME"),
        };
        let name = if arch.is_host() { "kernels".to_owned() } else { format!("kernels-{}", arch.debian) };
        let directory = base.join("memcg-trace").join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let lock =
            File::create(directory.join("lock")).context("cannot create the lock of the kernel cache")?;
        lock.lock().context("cannot lock the kernel cache")?;
        Ok(Self { directory, arch, _lock: lock })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Debian's archive for the architecture.
    pub fn archive(&self) -> Result<Archive> {
        Archive::open(&self.join("apt"), self.arch)
    }

    /// The directory in which some version of a package was unpacked earlier.
    pub fn kept(&self, name: &str) -> Option<PathBuf> {
        let versions = fs::read_dir(self.packages(name)).ok()?.flatten().map(|entry| entry.path());
        versions.filter(|path| !path.ends_with(PARTIAL)).max()
    }

    fn packages(&self, name: &str) -> PathBuf {
        self.join("packages").join(name)
    }

    /// The directory in which a package is unpacked, with its dependencies of the same version that are `wanted`.
    pub fn package(&self, package: &Package, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
        let directory = self.packages(&package.name).join(&package.version);
        if !directory.is_dir() {
            step(&format!("fetch Debian's {} for {}", package.name, self.arch.debian), || {
                self.archive()?.unpack_with(package, wanted, &directory)
            })?;
        }
        Ok(directory)
    }
}
