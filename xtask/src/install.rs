//! Installs missing tools: with apt if available, the eBPF toolchain also with rustup.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, step};
use crate::workspace::cargo;

/// Debian's compilers with `core` for eBPF: rustc, `core`, clippy. The first is kept up to date for Firefox.
const DEBIAN_RUST: &[[&str; 3]] = &[
    ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"],
    ["rustc", "libstd-rust-dev-bpf", "rust-clippy"],
];

/// bpf-linker loads the LLVM of the compiler up to this release; later ones bundle their own, which must be newer than
/// the compiler's and is only available prebuilt.
const LAST_BPF_LINKER_FOR_LLVM_22: &str = "bpf-linker@0.10.4";

/// A way to get an eBPF toolchain.
pub type Way = fn() -> Result<()>;

/// Ways to try until the probe succeeds.
pub const TOOLCHAIN_WAYS: &[Way] = &[toolchain_by_apt, toolchain_by_rustup];

/// Advice for a machine where none of them worked.
pub const TOOLCHAIN_ADVICE: &str = "no compiler for eBPF works here: on Debian, install rustc-web, \
    libstd-rust-web-dev-bpf and llvm-22 (or rustc, libstd-rust-dev-bpf and llvm of a later release); elsewhere, run \
    `rustup toolchain install nightly --component rust-src` and install bpf-linker (`cargo binstall bpf-linker`)";

/// Installs Debian packages, or says which are missing.
pub fn packages(missing: &[&str]) -> Result<()> {
    if !apt_may_install() {
        bail!("programs are missing; Debian has them in the packages {}", missing.join(" "));
    }
    update_apt()?;
    by_apt(missing)
}

/// Installs Debian packages without starting their services: otherwise container runtimes would run from then on.
pub fn by_apt(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    step(&format!("install {names} by apt"), || {
        let _policy = NoServices::decree()?;
        process::capture(apt_get()?.args(["install", "--yes", "--no-install-recommends"]).args(packages))
            .map(drop)
    })
}

/// A policy that no services are started (invoke-rc.d(8)), while this exists.
struct NoServices {
    ours: bool,
}

impl NoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";

    /// If the machine has its own policy, that stays.
    fn decree() -> Result<Self> {
        let ours = !Path::new(Self::FILE).exists();
        if ours {
            let script = format!("printf '#!/bin/sh\\nexit 101\\n' >{0} && chmod +x {0}", Self::FILE);
            process::capture(process::as_root("sh")?.args(["-c", &script]))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        let remove = || process::capture(process::as_root("rm")?.arg(Self::FILE));
        if self.ours
            && let Err(error) = remove()
        {
            eprintln!("xtask: {} prevents services from starting: remove it ({error:#})", Self::FILE);
        }
    }
}

/// Whether apt is available and may install packages.
pub fn apt_may_install() -> bool {
    process::find("apt-get").is_some() && (process::is_root() || process::find("sudo").is_some())
}

/// Refreshes apt's index.
pub fn update_apt() -> Result<()> {
    step("update apt's index", || process::capture(apt_get()?.arg("update")).map(drop))
}

fn apt_get() -> Result<Command> {
    let mut command = process::as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

fn toolchain_by_apt() -> Result<()> {
    if !apt_may_install() {
        bail!("apt is not available or may not install packages");
    }
    update_apt()?;
    let Some(rust) =
        DEBIAN_RUST.iter().find(|packages| packages.iter().all(|package| has_candidate(package)))
    else {
        bail!("this release has no rustc with core for eBPF");
    };
    // The newest llc can read the bitcode of all these compilers.
    let names = process::capture(Command::new("apt-cache").args(["pkgnames", "llvm-"]))?;
    let versions = names.lines().filter_map(|name| name.strip_prefix("llvm-")?.parse::<u32>().ok());
    let llvm =
        versions.max().map(|version| format!("llvm-{version}")).context("apt knows no llvm package")?;
    by_apt(&[rust.as_slice(), &[&llvm]].concat())
}

/// The package of clippy for Debian's compiler with `core` for eBPF, if that is installed.
pub fn debian_clippy() -> Option<&'static str> {
    DEBIAN_RUST.iter().find(|[_, core, _]| version(core).is_some()).map(|[_, _, clippy]| *clippy)
}

/// The version of a package of Debian that is installed.
pub fn version(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Version}", package]);
    Some(process::capture(&mut query).ok()?.strip_prefix("installed ")?.to_owned())
}

/// Whether apt could install a package.
fn has_candidate(package: &str) -> bool {
    let policy = process::capture(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package]));
    policy.is_ok_and(|policy| policy.contains("Candidate: ") && !policy.contains("Candidate: (none)"))
}

/// Whether rustup is available and may install toolchains and parts of them.
pub fn rustup_may_install() -> Result<()> {
    if process::find("rustup").is_none() {
        bail!("rustup is not available");
    }
    if env::var_os("RUSTUP_AUTO_INSTALL").is_some_and(|value| value == "0") {
        bail!("rustup may not install: RUSTUP_AUTO_INSTALL is 0");
    }
    Ok(())
}

fn toolchain_by_rustup() -> Result<()> {
    rustup_may_install()?;
    step("install rustup's nightly with rust-src", || {
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        process::run(rustup.args(["--component", "rust-src", "--component", "clippy"]))
    })?;
    if process::find("bpf-linker").is_some() {
        return Ok(());
    }
    let version = process::capture(Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]))?;
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let llvm =
        llvm.and_then(|llvm| llvm.split('.').next()?.parse::<u32>().ok()).context("rustc names no LLVM")?;
    step("install bpf-linker", || {
        if llvm <= 22 {
            process::run(cargo().args(["install", "--locked", LAST_BPF_LINKER_FOR_LLVM_22]))
        } else if process::find("cargo-binstall").is_some() {
            process::run(cargo().args(["binstall", "--no-confirm", "bpf-linker"]))
        } else {
            bail!("bpf-linker for LLVM {llvm} is only available prebuilt: install cargo-binstall");
        }
    })
}
