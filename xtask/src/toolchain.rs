//! The compiler and the linker for eBPF objects.
//!
//! Version numbers do not tell which pair works (prebuilt core, rust-src of the same version, LLVM new enough for the
//! compiler's bitcode), so each is tried on a small program, and the first that works is remembered.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::workspace::{Workspace, cargo};

/// Little-endian eBPF, as on every machine we support.
pub const TARGET: &str = "bpfel-unknown-none";

/// The instruction set of Linux 4.14: no 32-bit jumps, no 32-bit ALU, no `<` jumps.
const CPU: &str = "v1";

/// Linux 4.14 has no calls between eBPF functions, and if a function is not inlined, a copy whose length only the
/// caller knows becomes a call to `memcpy`, which eBPF does not have.
const INLINE_ALL: &str = "-Cllvm-args=-force-attribute=alwaysinline";

/// The only crates that may use unstable features: aya-ebpf (`asm_experimental_arch`), and the probe to show it can.
const BOOTSTRAP_CRATES: &str = "aya_ebpf,ebpf_probe";

const PROBE_MANIFEST: &str = r#"[package]
name = "ebpf_probe"
version = "0.0.0"
edition = "2024"
rust-version = "1.95"

[workspace]

[profile.release]
lto = "fat"
codegen-units = 1
panic = "abort"
"#;

const PROBE_PROGRAM: &str = r#"#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

#[unsafe(no_mangle)]
#[unsafe(link_section = "kprobe/probe")]
extern "C" fn probe(context: *const u64) -> u64 {
    unsafe { core::ptr::read_volatile(context) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
"#;

/// A compiler that may have `core` for eBPF.
#[derive(Clone, Serialize, Deserialize)]
enum Compiler {
    /// Its sysroot has `core` ready-made (Debian's `libstd-rust-dev-bpf`).
    Prebuilt { rustc: PathBuf },
    /// rustup's nightly builds `core` from rust-src.
    Nightly,
    /// A stable compiler builds `core` from the rust-src of its own version.
    Source { rustc: PathBuf },
}

impl Compiler {
    /// All candidates, cheapest first.
    fn candidates() -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let mut rustcs: Vec<_> = process::program_dirs().into_iter().map(|dir| dir.join("rustc")).collect();
        rustcs.retain(|rustc| process::is_program(rustc));
        let sysroots: Vec<_> = rustcs
            .into_iter()
            .filter_map(|rustc| Some((sysroot(Command::new(&rustc))?, rustc)))
            .filter(|(sysroot, _)| seen.insert(sysroot.clone()))
            .collect();

        let prebuilt =
            sysroots.iter().filter(|(sysroot, _)| sysroot.join("lib/rustlib").join(TARGET).is_dir());
        let mut found: Vec<_> = prebuilt.map(|(_, rustc)| Self::Prebuilt { rustc: rustc.clone() }).collect();
        if sysroot(nightly("rustc")).is_some_and(|sysroot| has_source(&sysroot)) {
            found.push(Self::Nightly);
        }
        let source = sysroots.iter().filter(|(sysroot, _)| has_source(sysroot));
        found.extend(source.map(|(_, rustc)| Self::Source { rustc: rustc.clone() }));
        found
    }

    fn rustc(&self) -> Command {
        match self {
            Self::Prebuilt { rustc } | Self::Source { rustc } => Command::new(rustc),
            Self::Nightly => nightly("rustc"),
        }
    }

    fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Nightly => nightly("cargo"),
            Self::Prebuilt { rustc } | Self::Source { rustc } => {
                let mut command = cargo();
                command.env("RUSTC", rustc);
                command
            }
        };
        match self {
            Self::Prebuilt { .. } => command.env("RUSTC_BOOTSTRAP", BOOTSTRAP_CRATES),
            Self::Nightly => command.arg("-Zbuild-std=core"),
            // "1" instead of a list of crates: otherwise cargo rejects -Z.
            Self::Source { .. } => command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core"),
        };
        command
    }

    fn describe(&self) -> String {
        match self {
            Self::Prebuilt { rustc } => format!("{} with its prebuilt core", rustc.display()),
            Self::Nightly => "rustup's nightly with rust-src".to_owned(),
            Self::Source { rustc } => format!("{} with rust-src", rustc.display()),
        }
    }
}

fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    // Inherited choices of cargo and rustup would override the toolchain selected here.
    command.args(["run", "nightly", program]).env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn sysroot(mut rustc: Command) -> Option<PathBuf> {
    let sysroot = process::capture(rustc.args(["--print", "sysroot"])).ok()?;
    Some(PathBuf::from(sysroot.trim()))
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
}

/// A program that turns the compiler's bitcode into an object.
#[derive(Clone, Serialize, Deserialize)]
enum Linker {
    BpfLinker {
        program: PathBuf,
    },
    /// LLVM's static compiler, which is sufficient because fat LTO leaves a single module.
    Llc {
        program: PathBuf,
    },
}

impl Linker {
    /// bpf-linker, then every llc from the newest to the oldest.
    fn candidates() -> Vec<Self> {
        let mut found: Vec<_> =
            process::find("bpf-linker").map(|program| Self::BpfLinker { program }).into_iter().collect();
        let mut llcs: Vec<(u32, PathBuf)> = Vec::new();
        for dir in process::program_dirs() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(suffix) = name.to_str().and_then(|name| name.strip_prefix("llc")) else { continue };
                let version = suffix.strip_prefix('-').and_then(|version| version.parse().ok());
                if version.is_some() || suffix.is_empty() {
                    llcs.push((version.unwrap_or(0), entry.path()));
                }
            }
        }
        llcs.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let mut seen = BTreeSet::new();
        llcs.retain(|(_, program)| fs::canonicalize(program).is_ok_and(|real| seen.insert(real)));
        found.extend(llcs.into_iter().map(|(_, program)| Self::Llc { program }));
        found
    }

    fn program(&self) -> &Path {
        match self {
            Self::BpfLinker { program } | Self::Llc { program } => program,
        }
    }

    /// Returns the linker for rustc: llc is wrapped in a script that accepts bpf-linker's arguments.
    fn install(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self::Llc { program } = self else { return Ok(self.program().to_owned()) };
        let script = workspace.scratch().join("llc-as-linker");
        let text = format!(
            r#"#!/bin/sh
# rustc believes this is bpf-linker: OUT follows -o, fat LTO leaves one module, all else is for other linkers.
while [ $# -gt 0 ]; do
    case $1 in
        -o) out=$2; shift ;;
        *.o) [ -z "$module" ] || {{ echo "more than one module: $module $1" >&2; exit 1; }}; module=$1 ;;
    esac
    shift
done
exec '{}' -march=bpf -mcpu={CPU} -filetype=obj -o "$out" "$module"
"#,
            program.display()
        );
        write_if_changed(&script, text.as_bytes())?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }
}

/// A compiler and a linker that together have built an eBPF object.
#[derive(Serialize, Deserialize)]
pub struct Toolchain {
    compiler: Compiler,
    linker: Linker,
    /// `rustc -vV` at that time: another compiler at the same path is probed again.
    version: String,
}

impl Toolchain {
    /// The one that worked last time, if it has not changed.
    pub fn remembered(workspace: &Workspace) -> Option<Self> {
        let text = fs::read(memory(workspace)).ok()?;
        let toolchain: Self = serde_json::from_slice(&text).ok()?;
        let version = process::capture(toolchain.compiler.rustc().arg("-vV")).ok()?;
        (version == toolchain.version && process::is_program(toolchain.linker.program())).then_some(toolchain)
    }

    /// Finds and remembers the first pair that builds the probe; or returns the errors of all.
    pub fn probe(workspace: &Workspace) -> Result<Self, Vec<String>> {
        let (compilers, linkers) = (Compiler::candidates(), Linker::candidates());
        let mut failures = Vec::new();
        if compilers.is_empty() {
            failures.push(format!("no rustc has core or rust-src for {TARGET}"));
        }
        if linkers.is_empty() {
            failures.push("neither bpf-linker nor llc is installed".to_owned());
        }
        for compiler in &compilers {
            for linker in &linkers {
                match Self::try_pair(workspace, compiler, linker) {
                    Ok(toolchain) => return Ok(toolchain),
                    Err(error) => failures.push(format!(
                        "{} and {}: {error:#}",
                        compiler.describe(),
                        linker.program().display()
                    )),
                }
            }
        }
        Err(failures)
    }

    fn try_pair(workspace: &Workspace, compiler: &Compiler, linker: &Linker) -> Result<Self> {
        let version = process::capture(compiler.rustc().arg("-vV"))?;
        let toolchain = Self { compiler: compiler.clone(), linker: linker.clone(), version };

        let probe = workspace.scratch().join("probe");
        let build_dir = probe.join("target");
        write_if_changed(&probe.join("Cargo.toml"), PROBE_MANIFEST.as_bytes())?;
        write_if_changed(&probe.join("src/main.rs"), PROBE_PROGRAM.as_bytes())?;
        let object = build_dir.join(TARGET).join("release/ebpf_probe");
        // Remove the output of the previous pair.
        let _ = fs::remove_dir_all(&build_dir);
        let mut build = toolchain.cargo_build(workspace)?;
        build.current_dir(&probe).args(["--quiet", "--release", "--target-dir"]).arg(&build_dir);
        process::capture(&mut build)?;
        check_object(&object)?;

        fs::write(memory(workspace), serde_json::to_vec_pretty(&toolchain)?)
            .context("cannot remember the eBPF toolchain")?;
        Ok(toolchain)
    }

    /// `cargo build` for eBPF: the caller adds package, profile and target directory.
    pub fn cargo_build(&self, workspace: &Workspace) -> Result<Command> {
        self.cargo("build", &[], workspace)
    }

    /// `cargo check` for eBPF with the compiler's own clippy, and warnings as errors.
    pub fn cargo_clippy(&self, workspace: &Workspace) -> Result<Command> {
        let driver = self.clippy_driver()?;
        if !self.has_clippy() {
            bail!("{} has no clippy: {} is missing", self.compiler.describe(), driver.display());
        }
        let mut command = self.cargo("check", &["-Dwarnings"], workspace)?;
        command.env("RUSTC_WORKSPACE_WRAPPER", driver);
        Ok(command)
    }

    /// Path of the compiler's own clippy.
    fn clippy_driver(&self) -> Result<PathBuf> {
        let sysroot = sysroot(self.compiler.rustc()).context("the eBPF compiler has no sysroot any more")?;
        Ok(sysroot.join("bin/clippy-driver"))
    }

    /// Whether the programs can be linted.
    pub fn has_clippy(&self) -> bool {
        self.clippy_driver().is_ok_and(|driver| process::is_program(&driver))
    }

    fn cargo(&self, subcommand: &str, flags: &[&str], workspace: &Workspace) -> Result<Command> {
        let linker = format!("-Clinker={}", self.linker.install(workspace)?.display());
        let cpu = format!("-Ctarget-cpu={CPU}");
        let flags = [&[linker.as_str(), &cpu, INLINE_ALL], flags].concat();
        let mut command = self.compiler.cargo();
        command.args([subcommand, "--target", TARGET]);
        // Without it, aya's programs read the registers of the machine that builds them.
        command.env("AYA_BPF_TARGET_ARCH", workspace.arch.name);
        // Incremental builds are cut into more modules, and give other programs.
        command.env("CARGO_INCREMENTAL", "0");
        // The encoded form overrides RUSTFLAGS, which are meant for the host.
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        Ok(command)
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        format!("{}, linked by {}", self.compiler.describe(), self.linker.program().display())
    }
}

fn memory(workspace: &Workspace) -> PathBuf {
    workspace.scratch().join("toolchain.json")
}

/// Whether this is an eBPF object: e_machine of its ELF header.
fn check_object(path: &Path) -> Result<()> {
    const EM_BPF: [u8; 2] = 247u16.to_le_bytes();
    let object = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !object.starts_with(b"\x7fELF") || object.get(18..20) != Some(&EM_BPF) {
        bail!("the linker did not make an eBPF object");
    }
    Ok(())
}

/// Does not touch the file if it is up to date, so that cargo does not rebuild.
pub fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
