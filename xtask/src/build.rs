//! `cargo xtask build`: builds the eBPF objects, then the loader that embeds them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cross;
use crate::dist::Release;
use crate::process::{self, step};
use crate::setup;
use crate::toolchain::{self, Toolchain, write_if_changed};
use crate::workspace::{Profile, Workspace, cargo};

/// Build the eBPF objects and target/release/memcg-trace: one static binary that runs on any Linux of its architecture.
///
/// With MEMCG_TRACE_EBPF_DIR set, the objects in that directory are embedded, which must be of the same architecture, and no
/// eBPF toolchain is needed.
#[derive(clap::Args)]
pub struct Args {
    /// Build for this architecture: target/TRIPLE/release/memcg-trace if it is not that of this machine
    #[arg(long, value_name = "TRIPLE", value_parser = Arch::parse)]
    target: Option<&'static Arch>,
}

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

/// Separate from the host's target directory: with another compiler, cargo would rebuild everything there, and for another
/// architecture, too.
fn object_build_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("ebpf-build").join(workspace.arch.name)
}

/// All objects; memcg-trace/build.rs has the names under which the loader embeds them.
const OBJECTS: &[Object] = &[
    Object { file: "hooks.o", bin: "hooks", features: "" },
    Object { file: "hooks-log.o", bin: "hooks", features: "log" },
    Object { file: "walk.o", bin: "walk", features: "" },
    Object { file: "pins.o", bin: "pins", features: "" },
    Object { file: "slab.o", bin: "slab", features: "" },
];

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    build(&workspace.on(args.target.unwrap_or(workspace.arch)))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds everything and returns the path of the loader.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    objects(workspace)?;
    step(&format!("build memcg-trace for {}", workspace.arch.name), || build_loader(workspace))
}

/// Builds the objects. Those of one architecture differ from another's by the registers that kprobes find arguments in.
pub fn objects(workspace: &Workspace) -> Result<()> {
    if let Some(dir) = env::var_os("MEMCG_TRACE_EBPF_DIR") {
        return check_prebuilt(Path::new(&dir));
    }
    let toolchain = setup::ensure_toolchain(workspace)?;
    step(&format!("build the eBPF objects for {}", workspace.arch.name), || {
        OBJECTS.iter().try_for_each(|object| build_object(workspace, &toolchain, object))
    })
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
pub fn static_cargo(workspace: &Workspace, subcommand: &str) -> Result<Command> {
    let arch = workspace.arch;
    let mut command = cargo();
    command.args([subcommand, "--target", arch.triple]);
    let mut flags = "-Ctarget-feature=+crt-static".to_owned();
    if workspace.profile == Profile::Dist {
        flags += &remapped(workspace)?;
    }
    if !arch.is_host() {
        cross::ensure_linker(arch)?;
        command.env(arch.cargo_variable("LINKER"), arch.cross_linker());
        cross::ensure_std(workspace)?.select(&mut command, &mut flags);
    }
    command.env(arch.cargo_variable("RUSTFLAGS"), flags);
    Ok(command)
}

/// Builds the loader of a release: it knows its commit, and nothing of where it was built.
pub fn release(workspace: &Workspace, release: &Release) -> Result<PathBuf> {
    objects(workspace)?;
    step(&format!("build memcg-trace {} for {}", release.version, workspace.arch.name), || {
        let mut command = loader_command(workspace)?;
        // Incremental builds are cut into other parts, by what was built before.
        command.env("MEMCG_TRACE_COMMIT", &release.commit).env("CARGO_INCREMENTAL", "0");
        process::run(&mut command)?;
        Ok(workspace.built())
    })
}

/// Writes completions and man pages into a directory.
pub fn help_files(workspace: &Workspace, directory: &Path) -> Result<()> {
    objects(&workspace.on(Arch::host()))?;
    step("write completions and man pages", || {
        let mut example = cargo();
        example.current_dir(&workspace.root).args([
            "run",
            "--package",
            "memcg-trace",
            "--example",
            "help_files",
        ]);
        process::run(example.arg("--").arg(directory))
    })
}

fn build_loader(workspace: &Workspace) -> Result<PathBuf> {
    process::run(&mut loader_command(workspace)?)?;

    let built = workspace.built();
    let loader = workspace.loader();
    if loader == built {
        return Ok(loader);
    }
    let context = || format!("cannot copy {} to {}", built.display(), loader.display());
    fs::create_dir_all(workspace.target.join(workspace.profile.name())).with_context(context)?;
    // Replace the file instead of writing into it: a running loader and cargo's own hard link stay as they are.
    let fresh = loader.with_extension("new");
    fs::copy(&built, &fresh).with_context(context)?;
    fs::rename(&fresh, &loader).with_context(context)?;
    Ok(loader)
}

/// Flags that give the directories of this machine the same names everywhere: panics name source files.
fn remapped(workspace: &Workspace) -> Result<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let home = home.context("cargo's directory is not known: set HOME or CARGO_HOME")?;
    let remap = |from: &Path, to: &str| format!(" --remap-path-prefix={}={to}", from.display());
    Ok(remap(&workspace.root, "/memcg-trace") + &remap(&home, "/cargo"))
}

fn loader_command(workspace: &Workspace) -> Result<Command> {
    let mut command = static_cargo(workspace, "build")?;
    command.current_dir(&workspace.root);
    command.args(["--profile", workspace.profile.name(), "--package", "memcg-trace", "--bin", "memcg-trace"]);
    Ok(command)
}
