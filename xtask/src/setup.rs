//! `cargo xtask setup`: finds or installs the tools for building and testing.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arch::{Arch, Qemu};
use crate::install;
use crate::process::{self, step};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Find or install the tools for building and testing.
///
/// Building needs a compiler and a linker for eBPF. Each pair on this machine is tried on a small program; the first
/// that works is remembered in the target directory. Tests and benchmarks need QEMU and some small tools, tests also
/// container runtimes, Prometheus, pip and npm; their packages are installed without starting their services.
#[derive(clap::Args)]
pub struct Args {
    /// Only report which tools are available and which are missing
    #[arg(long)]
    check: bool,
}

/// A program, its Debian package, and the tasks that need it.
#[derive(Clone, Copy)]
struct Tool {
    program: &'static str,
    package: &'static str,
    needed_by: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "busybox", package: "busybox-static", needed_by: "vm, test" },
    Tool { program: "xz", package: "xz-utils", needed_by: "vm, test" },
    Tool { program: "gcc", package: "gcc", needed_by: "test" },
    Tool { program: "make", package: "make", needed_by: "test" },
    Tool { program: "mmdebstrap", package: "mmdebstrap", needed_by: "test" },
    Tool { program: "cpio", package: "cpio", needed_by: "test" },
    Tool { program: "mke2fs", package: "e2fsprogs", needed_by: "test" },
    Tool { program: "runc", package: "runc", needed_by: "test" },
    Tool { program: "containerd", package: "containerd", needed_by: "test" },
    Tool { program: "dockerd", package: "docker.io", needed_by: "test" },
    Tool { program: "docker", package: "docker.io", needed_by: "test" },
    Tool { program: "podman", package: "podman", needed_by: "test" },
    Tool { program: "prometheus", package: "prometheus", needed_by: "test" },
    Tool { program: "promtool", package: "prometheus", needed_by: "test" },
    Tool { program: "prometheus-alertmanager", package: "prometheus-alertmanager", needed_by: "test" },
    Tool { program: "amtool", package: "prometheus-alertmanager", needed_by: "test" },
    Tool { program: "pip3", package: "python3-pip", needed_by: "test" },
    Tool { program: "npm", package: "npm", needed_by: "test" },
    Tool { program: "systemd-analyze", package: "systemd", needed_by: "test" },
    Tool { program: "tmux", package: "tmux", needed_by: "test" },
    Tool { program: "bpftrace", package: "bpftrace", needed_by: "bench" },
];

/// QEMU for this machine's architecture, and the other tools.
fn tools() -> impl Iterator<Item = Tool> {
    let Qemu { program, package, .. } = Arch::host().qemu;
    [Tool { program, package, needed_by: "vm, test" }].into_iter().chain(TOOLS.iter().copied())
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if args.check {
        return Ok(check(workspace));
    }
    let toolchain = ensure_toolchain(workspace)?;
    eprintln!("xtask: eBPF toolchain: {}", toolchain.describe());
    ensure_tools(&toolchain)?;
    eprintln!("xtask: everything is available");
    Ok(ExitCode::SUCCESS)
}

fn check(workspace: &Workspace) -> ExitCode {
    let toolchain = Toolchain::remembered(workspace).map_or_else(|| Toolchain::probe(workspace), Ok);
    let mut missing = false;
    let mut report = Vec::new();
    match &toolchain {
        Ok(toolchain) => {
            report.push(format!("eBPF toolchain: {}", toolchain.describe()));
            if !toolchain.has_clippy() {
                missing = true;
                report.push("clippy of the eBPF toolchain: missing (test)".to_owned());
            }
        }
        Err(failures) => {
            missing = true;
            report.push("eBPF toolchain: missing (build, run)".to_owned());
            report.extend(failures.iter().map(|failure| format!("  {failure}")));
        }
    }
    for tool in tools() {
        report.push(match process::find(tool.program) {
            Some(path) => format!("{}: {}", tool.program, path.display()),
            None => {
                missing = true;
                format!("{}: missing ({}); Debian: {}", tool.program, tool.needed_by, tool.package)
            }
        });
    }
    println!("{}", report.join("\n"));
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The eBPF toolchain: remembered, found, or installed.
pub fn ensure_toolchain(workspace: &Workspace) -> Result<Toolchain> {
    if let Some(toolchain) = Toolchain::remembered(workspace) {
        return Ok(toolchain);
    }
    let mut failures = match find_toolchain(workspace) {
        Ok(toolchain) => return Ok(toolchain),
        Err(failures) => failures,
    };
    for install in install::TOOLCHAIN_WAYS {
        match install() {
            Ok(()) => match find_toolchain(workspace) {
                Ok(toolchain) => return Ok(toolchain),
                Err(now) => failures = now,
            },
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    for failure in failures {
        eprintln!("xtask: {failure}");
    }
    bail!(install::TOOLCHAIN_ADVICE)
}

fn find_toolchain(workspace: &Workspace) -> Result<Toolchain, Vec<String>> {
    // A step can only fail with one error, but the probe has one per pair.
    let found = step("look for a compiler and a linker for eBPF", || Ok(Toolchain::probe(workspace)));
    found.unwrap_or_else(|error| Err(vec![format!("{error:#}")]))
}

/// Finds or installs the programs for tests and benchmarks.
pub fn ensure_tools(toolchain: &Toolchain) -> Result<()> {
    match missing_packages(toolchain).as_slice() {
        [] => Ok(()),
        missing => install::packages(missing),
    }
}

/// Finds or installs the emulator of an architecture.
pub fn ensure_qemu(arch: &Arch) -> Result<()> {
    match process::find(arch.qemu.program) {
        Some(_) => Ok(()),
        None => install::packages(&[arch.qemu.package]),
    }
}

fn missing_packages(toolchain: &Toolchain) -> Vec<&'static str> {
    let missing = tools().filter(|tool| process::find(tool.program).is_none());
    let clippy = if toolchain.has_clippy() { None } else { install::debian_clippy() };
    let mut packages: Vec<_> = missing.map(|tool| tool.package).chain(clippy).collect();
    packages.dedup();
    packages
}
