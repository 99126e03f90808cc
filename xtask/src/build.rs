//! `cargo xtask build`: builds the eBPF objects, then the loader that embeds them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, step};
use crate::setup;
use crate::toolchain::{self, Toolchain, write_if_changed};
use crate::workspace::{Workspace, cargo};

/// Build the eBPF objects and target/release/memcg-trace: one static binary that runs on any x86-64 Linux.
///
/// With MEMCG_TRACE_EBPF_DIR set, the objects in that directory are embedded and no eBPF toolchain is needed.
#[derive(clap::Args)]
pub struct Args {}

/// One eBPF object.
struct Object {
    file: &'static str,
    bin: &'static str,
    features: &'static str,
}

impl Object {
    /// Adds the arguments that make cargo build this object.
    fn select<'a>(&self, command: &'a mut Command, workspace: &Workspace) -> &'a mut Command {
        command.current_dir(&workspace.root).arg("--target-dir").arg(object_build_dir(workspace));
        command.args(["--package", "memcg-trace-ebpf", "--profile", "ebpf"]);
        command.args(["--bin", self.bin, "--features", self.features])
    }
}

/// Separate from the host's target directory: with another compiler, cargo would rebuild everything there.
fn object_build_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("ebpf-build")
}

/// All objects; memcg-trace/build.rs has the names under which the loader embeds them.
const OBJECTS: &[Object] = &[
    Object { file: "hooks.o", bin: "hooks", features: "" },
    Object { file: "hooks-log.o", bin: "hooks", features: "log" },
    Object { file: "walk.o", bin: "walk", features: "" },
    Object { file: "pins.o", bin: "pins", features: "" },
    Object { file: "slab.o", bin: "slab", features: "" },
];

/// Target of the loader. The glibc target is available wherever cargo is; musl's std is not.
pub const HOST_TARGET: &str = "x86_64-unknown-linux-gnu";

pub fn task(workspace: &Workspace, _: &Args) -> Result<ExitCode> {
    build(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds everything and returns the path of the loader.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    match env::var_os("MEMCG_TRACE_EBPF_DIR") {
        Some(dir) => check_prebuilt(Path::new(&dir))?,
        None => {
            let toolchain = setup::ensure_toolchain(workspace)?;
            step("build the eBPF objects", || {
                OBJECTS.iter().try_for_each(|object| build_object(workspace, &toolchain, object))
            })?;
        }
    }
    step("build memcg-trace", || build_loader(workspace))
}

fn check_prebuilt(dir: &Path) -> Result<()> {
    match OBJECTS.iter().find(|object| !dir.join(object.file).is_file()) {
        None => Ok(()),
        Some(missing) => bail!("MEMCG_TRACE_EBPF_DIR={} has no {}", dir.display(), missing.file),
    }
}

fn build_object(workspace: &Workspace, toolchain: &Toolchain, object: &Object) -> Result<()> {
    process::run(object.select(&mut toolchain.cargo_build(workspace)?, workspace))?;

    let built = object_build_dir(workspace).join(toolchain::TARGET).join("ebpf").join(object.bin);
    let content = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    write_if_changed(&workspace.objects().join(object.file), &content)
}

/// Lints the programs of all objects.
pub fn clippy_objects(workspace: &Workspace) -> Result<()> {
    let toolchain = setup::ensure_toolchain(workspace)?;
    OBJECTS.iter().try_for_each(|object| {
        process::run(object.select(&mut toolchain.cargo_clippy(workspace)?, workspace))
    })
}

/// `cargo` with arguments for a static program, which depends on nothing on the machine (or VM) it runs on.
pub fn static_cargo(subcommand: &str) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--target", HOST_TARGET]);
    command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    command
}

fn build_loader(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = static_cargo("build");
    let profile = workspace.profile.name();
    command.args(["--profile", profile, "--package", "memcg-trace"]);
    process::run(command.current_dir(&workspace.root))?;

    let built = workspace.target.join(HOST_TARGET).join(profile).join("memcg-trace");
    let loader = workspace.loader();
    let context = || format!("cannot copy {} to {}", built.display(), loader.display());
    fs::create_dir_all(workspace.target.join(profile)).with_context(context)?;
    // Replace the file instead of writing into it: a running loader and cargo's own hard link stay as they are.
    let fresh = loader.with_extension("new");
    fs::copy(&built, &fresh).with_context(context)?;
    fs::rename(&fresh, &loader).with_context(context)?;
    Ok(loader)
}
