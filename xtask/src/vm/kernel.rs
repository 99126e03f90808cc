//! The kernel to boot: one of Debian's, or a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::archive::version_key;
use super::cache::Cache;
use crate::arch::Arch;
use crate::process::step;

/// A kernel image, its configuration and modules.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The version of Debian's package, or the file name.
    pub version: String,
    pub arch: &'static Arch,
    pub image: PathBuf,
    /// A directory with `*.ko` or `*.ko.xz` files below it.
    pub modules: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Kernel {
    /// A series of Debian's cloud kernels ("6.12"), or `IMAGE[:MODULES]`.
    pub fn find(spec: &str, arch: &'static Arch, refresh: bool) -> Result<Self> {
        if spec.contains('/') { Self::from_file(spec, arch) } else { Self::from_debian(spec, arch, refresh) }
    }

    fn from_file(spec: &str, arch: &'static Arch) -> Result<Self> {
        let (image, modules) = match spec.split_once(':') {
            Some((image, modules)) => (Path::new(image), Some(PathBuf::from(modules))),
            None => (Path::new(spec), None),
        };
        if !image.is_file() {
            bail!("no kernel image {}", image.display());
        }
        if let Some(dir) = modules.as_ref().filter(|dir| !dir.is_dir()) {
            bail!("no modules directory {}", dir.display());
        }
        let version = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { version, arch, image: image.to_owned(), modules, config: None })
    }

    fn from_debian(series: &str, arch: &'static Arch, refresh: bool) -> Result<Self> {
        if !series.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
            bail!("\"{series}\" is neither a kernel series like 6.12 nor a path like ./bzImage");
        }
        let cache = Cache::lock(arch)?;
        let packages = cache.join(series);
        if !refresh && let Some(kernel) = Self::newest_in(&packages, arch) {
            return Ok(kernel);
        }
        step(&format!("fetch Debian's newest {series} kernel for {}", arch.debian), || {
            let archive = cache.archive()?;
            let package = archive.newest_kernel(series)?;
            let dir = packages.join(&package.version);
            if !dir.is_dir() {
                archive.unpack(&package, &dir)?;
            }
            Ok(())
        })?;
        Self::newest_in(&packages, arch)
            .ok_or_else(|| anyhow!("Debian's {series} kernel package contains no vmlinuz"))
    }

    /// The newest of the unpacked packages of a series.
    fn newest_in(packages: &Path, arch: &'static Arch) -> Option<Self> {
        let versions = fs::read_dir(packages).ok()?.flatten();
        let names = versions.filter_map(|entry| entry.file_name().into_string().ok());
        let version = names.filter(|name| !name.starts_with('.')).max_by_key(|name| version_key(name))?;
        let dir = packages.join(&version);
        let modules = ["usr/lib/modules", "lib/modules"].map(|path| dir.join(path));
        let modules = modules.iter().find_map(|dir| entry_with_prefix(dir, ""));
        // In /boot, or since Debian's 7.0 in the modules directory.
        let places = [Some(dir.join("boot")), modules.clone()];
        let find = |prefix| places.iter().flatten().find_map(|dir| entry_with_prefix(dir, prefix));
        Some(Self { version, arch, image: find("vmlinuz")?, config: find("config"), modules })
    }

    /// `uname -r`, from its modules directory.
    pub fn release(&self) -> Option<&str> {
        self.modules.as_ref()?.file_name()?.to_str()
    }

    /// Whether it is configured without the memory controller of cgroup v1 (optional since Linux 6.11).
    pub fn lacks_memcg_v1(&self) -> bool {
        let config = self.config.as_ref().and_then(|path| fs::read_to_string(path).ok());
        config.is_some_and(|config| config.contains("# CONFIG_MEMCG_V1 is not set"))
    }

    /// Whether its configuration is known and has the memory controller of cgroup v1.
    pub fn may_have_memcg_v1(&self) -> bool {
        self.config.is_some() && !self.lacks_memcg_v1()
    }
}

fn entry_with_prefix(dir: &Path, prefix: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.flatten();
    let entry = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))?;
    Some(entry.path())
}
