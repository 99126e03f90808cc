//! Builds our test modules against Debian's kernel headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::Package;
use super::cache::Cache;
use super::kernel::Kernel;
use crate::process::{self, step};
use crate::workspace::Workspace;

/// Builds the module `tests/modules/NAME.c`, and returns its path.
///
/// Uses this machine's compiler, not the kernel's: works for older kernels, and maybe not for newer ones.
pub fn build(workspace: &Workspace, kernel: &Kernel, name: &str) -> Result<PathBuf> {
    step(&format!("build the module {name} for Linux {}", kernel.version), || {
        let headers = headers(kernel)?;
        let source = workspace.root.join("memcg-trace/tests/modules");
        let dir = workspace.scratch().join("modules").join(&kernel.version);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for file in ["Kbuild".to_owned(), format!("{name}.c")] {
            let (from, to) = (source.join(&file), dir.join(&file));
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let mut make = Command::new("make");
        make.arg("-C").arg(headers).arg(format!("M={}", dir.display())).args(["CC=gcc", "-s", "modules"]);
        process::run(&mut make)?;
        Ok(dir.join(format!("{name}.ko")))
    })
}

/// The directory of the kernel's headers. Unpacked, not installed.
fn headers(kernel: &Kernel) -> Result<PathBuf> {
    let Some(release) = kernel.release().filter(|_| kernel.version.contains('-')) else {
        bail!("there are no headers for kernel {}: it is not one of Debian's", kernel.version);
    };
    let cache = Cache::lock(kernel.arch)?;
    let dir = cache.join("headers").join(&kernel.version);
    let sources = dir.join("usr/src");
    let headers = sources.join(format!("linux-headers-{release}"));
    if !headers.is_dir() {
        let archive = cache.archive()?;
        let name = format!("linux-headers-{release}");
        let package = Package { name, version: kernel.version.clone() };
        let parts =
            |name: &str| ["linux-headers-", "linux-kbuild-"].iter().any(|part| name.starts_with(part));
        archive.unpack_with(&package, parts, &dir)?;
    }
    // The original Makefile has the path for installed headers.
    let common = common(&sources).context("the kernel's headers have no common part")?;
    fs::write(headers.join("Makefile"), format!("include {}/Makefile\n", common.display()))
        .context("cannot write into the kernel's headers")?;
    Ok(headers)
}

/// The directory of the headers common to all flavours.
fn common(sources: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(sources).ok()?.flatten().map(|entry| entry.path());
    entries.find(|path| path.to_string_lossy().ends_with("-common"))
}
