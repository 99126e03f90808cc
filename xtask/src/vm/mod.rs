//! `cargo xtask vm`: runs a command or a shell on another kernel.

mod archive;
mod cache;
mod foreign;
pub mod host_program;
mod initramfs;
mod kernel;
mod machine;
pub mod module;
mod modules;
mod qemu;
mod run;
mod systemd;
mod verify;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

pub use self::archive::Package;
pub use self::cache::Cache;
pub use self::kernel::Kernel;
pub use self::machine::{Cgroup, Init, Vm};
pub use self::run::{Died, Output};
use crate::arch::Arch;
use crate::build;
use crate::setup;
use crate::workspace::Workspace;

/// Boot a Debian kernel in QEMU with memcg-trace in it and run a command there.
///
/// The task has the command's stdout, stderr and exit code. It runs as root in an initramfs with busybox; memcg-trace
/// is in PATH, modprobe can load zram, loop and some file systems, /tmp and /dev/shm are tmpfs.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  cargo xtask vm --kernel 5.10 --cgroup v1 -- memcg-trace trace --duration 10s
  cargo xtask vm -- sh -c 'uname -r; cat /proc/cgroups'
  cargo xtask vm --arch arm64 --kernel 6.1 -- memcg-trace doctor --self-test
  cargo xtask vm --kernel 7.2 shell")]
pub struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    /// A series of Debian's cloud kernels (5.10, 6.1, 6.12, 7.2 ...), or IMAGE[:MODULES]
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
    /// Architecture of the VM: amd64 or arm64 [default: that of this machine]
    #[arg(long, value_name = "ARCH", value_parser = Arch::parse, conflicts_with = "systemd")]
    arch: Option<&'static Arch>,
    /// The hierarchy of the memory controller
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: Cgroup,
    /// Memory of the VM in MiB
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    memory: u32,
    /// CPUs of the VM
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// Additional kernel parameters
    #[arg(long, value_name = "PARAMETERS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// A file to copy into the VM; may be given more than once
    #[arg(long = "file", value_name = "HOST:GUEST", value_parser = parse_file)]
    files: Vec<(PathBuf, PathBuf)>,
    /// An additional kernel module for modprobe; may be given more than once
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Boot Debian with systemd and containerd instead of busybox; memcg-trace and --file then go below /vm
    #[arg(long, conflicts_with = "shell")]
    systemd: bool,
    /// End the VM after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Check for a newer kernel than the one in the cache
    #[arg(long)]
    refresh: bool,
    /// Do not build: use the existing target/release/memcg-trace, if any
    #[arg(long)]
    no_build: bool,
    /// Use KVM instead of emulating the CPU
    #[arg(long)]
    kvm: bool,
    /// An interactive shell instead of a command; leave it with `exit`, or Ctrl-A x
    #[arg(value_name = "shell", value_parser = ["shell"], required_unless_present = "command")]
    shell: Option<String>,
    /// The command and its arguments
    #[arg(last = true, conflicts_with = "shell")]
    command: Vec<OsString>,
}

#[derive(clap::Subcommand)]
enum Task {
    Verify(verify::Args),
}

fn parse_file(argument: &str) -> Result<(PathBuf, PathBuf), String> {
    match argument.split_once(':') {
        Some((host, guest)) if guest.starts_with('/') => Ok((host.into(), guest.into())),
        _ => Err("expected HOST:GUEST with an absolute path in the VM".to_owned()),
    }
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if let Some(Task::Verify(args)) = &args.task {
        return verify::task(workspace, args);
    }
    let workspace = &workspace.on(args.arch.unwrap_or(workspace.arch));
    if !workspace.arch.is_host() {
        setup::ensure_qemu(workspace.arch)?;
    }
    let mut files = args.files.clone();
    let loader = if args.no_build { workspace.loader() } else { build::build(workspace)? };
    if loader.is_file() {
        let directory = if args.systemd { "/vm" } else { "/bin" };
        files.push((loader, PathBuf::from(directory).join("memcg-trace")));
    }
    let vm = Vm {
        kernel: Kernel::find(&args.kernel, workspace.arch, args.refresh)?,
        cgroup: args.cgroup,
        init: if args.systemd { Init::Systemd } else { Init::Busybox },
        memory_mb: args.memory,
        cpus: args.cpus,
        append: args.append.clone(),
        kvm: args.kvm,
        modules: args.modules.clone(),
        files,
        environment: Vec::new(),
        command: args.command.clone(),
        timeout: Duration::from_secs(args.timeout),
    };
    eprintln!("xtask: boot Linux {} with cgroup {}", vm.kernel.version, vm.cgroup.name());
    let mut stdout = io::stdout();
    let output = if args.shell.is_some() { Output::Terminal } else { Output::Stdout(&mut stdout) };
    let run = vm.run(workspace, output)?;
    eprintln!("xtask: booted in {:.1} s, exit code {}", run.boot.as_secs_f64(), run.code);
    Ok(run.code.into())
}
