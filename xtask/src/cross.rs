//! What building for another architecture takes besides a compiler: a linker, and Rust's standard library.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::install;
use crate::process::{self, step};
use crate::vm::{Cache, Package};
use crate::workspace::Workspace;

/// Debian's compilers and their standard libraries, which it has for every architecture. The first is kept up to date for Firefox.
const DEBIAN_RUST: &[[&str; 2]] = &[["rustc-web", "libstd-rust-web-dev"], ["rustc", "libstd-rust-dev"]];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Directory of the standard libraries in a sysroot.
const RUSTLIB: &str = "lib/rustlib";

/// A standard library for the architecture, by the compiler that it belongs to.
pub enum Std {
    /// That which cargo uses anyway.
    Usual,
    /// Debian's, and the sysroot where it finds the library.
    Debian { sysroot: PathBuf },
}

impl Std {
    /// Makes cargo use it: `flags` are those of rustc for the target.
    pub fn select(&self, cargo: &mut Command, flags: &mut String) {
        if let Self::Debian { sysroot } = self {
            cargo.env("RUSTC", DEBIAN_RUSTC);
            *flags += &format!(" --sysroot={}", sysroot.display());
        }
    }
}

/// Finds or installs the linker.
pub fn ensure_linker(arch: &Arch) -> Result<()> {
    match process::find(&arch.cross_linker()) {
        Some(_) => Ok(()),
        None => install::packages(&arch.cross_packages),
    }
}

/// Finds the standard library, gets it by rustup, or takes Debian's.
pub fn ensure_std(workspace: &Workspace) -> Result<Std> {
    let arch = workspace.arch;
    let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let usual_has_it = || {
        let sysroot = process::capture(rustc().args(["--print", "sysroot"]));
        sysroot.is_ok_and(|sysroot| Path::new(sysroot.trim()).join(RUSTLIB).join(arch.triple).is_dir())
    };
    if usual_has_it() {
        return Ok(Std::Usual);
    }
    let by_rustup = install::rustup_may_install().and_then(|()| {
        step(&format!("install rustup's standard library for {}", arch.triple), || {
            process::run(Command::new("rustup").args(["target", "add", arch.triple]))
        })
    });
    match by_rustup {
        Ok(()) if usual_has_it() => Ok(Std::Usual),
        Ok(()) => bail!("rustup's standard library for {} is not that of rustc in PATH", arch.triple),
        Err(error) => debians(workspace).with_context(|| {
            format!("no standard library for {} ({error:#}), and Debian's cannot be used either", arch.triple)
        }),
    }
}

/// Unpacks Debian's library for the architecture, of the same version as its compiler here: this machine has no second
/// architecture for that. A sysroot of links has it beside the others.
fn debians(workspace: &Workspace) -> Result<Std> {
    let arch = workspace.arch;
    let installed = DEBIAN_RUST.iter().find_map(|[rustc, std]| Some((*std, install::version(rustc)?)));
    let (name, version) = installed.with_context(|| {
        format!("Debian's compiler is not installed: {DEBIAN_RUST:?} are the packages that it and the library are in")
    })?;
    let package = Package { name: name.to_owned(), version };
    let unpacked = Cache::lock(arch)?.package(&package, |name| name.starts_with("libstd-rust"))?;

    let library = unpacked.join("usr").join(RUSTLIB).join(arch.triple);
    if !library.is_dir() {
        bail!("Debian's {name} {} has no {}", package.version, library.display());
    }
    let sysroot = workspace.scratch().join("sysroot").join(arch.name);
    let links = sysroot.join(RUSTLIB);
    let context = || format!("cannot make the sysroot {}", sysroot.display());
    let _ = fs::remove_dir_all(&sysroot);
    fs::create_dir_all(&links).with_context(context)?;
    symlink(&library, links.join(arch.triple)).with_context(context)?;
    for own in fs::read_dir(Path::new("/usr").join(RUSTLIB)).with_context(context)? {
        let own = own.with_context(context)?;
        if own.file_name() != arch.triple {
            symlink(own.path(), links.join(own.file_name())).with_context(context)?;
        }
    }
    Ok(Std::Debian { sysroot })
}
