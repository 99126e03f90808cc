//! `cargo xtask vm verify`: the verdicts of several kernels in one matrix.

mod matrix;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::matrix::{Column, Matrix};
use super::{Cgroup, Init, Kernel, Output, Vm};
use crate::workspace::Workspace;
use crate::{build, process};

/// Boot kernels, run `memcg-trace verify` in each, and print one matrix of scenarios and kernels.
///
/// Each kernel is booted with each hierarchy for which it has a memory controller. The matrix is also written as
/// Markdown.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm verify
  cargo xtask vm verify --html kernels.html
  cargo xtask vm verify --kernel 6.12 --kernel ./bzImage:./modules -- --cgroups 20
  cargo xtask vm verify --kernel ~/linux/arch/x86/boot/bzImage --out /dev/null -- tmpfs swap")]
pub struct Args {
    /// Series of Debian's cloud kernels, or IMAGE[:MODULES]; separated by commas, or given more than once
    #[arg(
        long = "kernel",
        value_name = "KERNEL,…",
        value_delimiter = ',',
        default_value = "5.10,6.1,6.12,7.2"
    )]
    kernels: Vec<String>,
    /// Only this hierarchy [default: v1 and v2 where the kernel's configuration has both, else v2]
    #[arg(long, value_enum)]
    cgroup: Option<Cgroup>,
    /// Output file of the matrix
    #[arg(long, value_name = "FILE", default_value = "docs/VERIFIED.md")]
    out: PathBuf,
    /// Output file of the matrix as a page for a browser, with the reasons
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// A kernel module to have at hand for modprobe, besides the usual ones; may be given more than once
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Memory of each VM in MiB; using up all memcg IDs requires 4096
    #[arg(long, value_name = "MB", default_value_t = 4096)]
    memory: u32,
    /// End a VM after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
    /// Do not build: use the existing target/release/memcg-trace
    #[arg(long)]
    no_build: bool,
    /// Arguments of memcg-trace verify
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let loader = if args.no_build { workspace.loader() } else { build::build(workspace)? };
    let mut matrix = Matrix::default();
    let (mut outputs, mut failed) = (Vec::new(), false);
    for spec in &args.kernels {
        let kernel = Kernel::find(spec, workspace.arch, false)?;
        for cgroup in hierarchies(&kernel, args.cgroup) {
            eprintln!("xtask: verify on Linux {} with cgroup {}", kernel.version, cgroup.name());
            match verify(workspace, args, &loader, &kernel, cgroup) {
                Ok((column, output)) => {
                    matrix.columns.push(column);
                    outputs.push(output);
                }
                // The others took half an hour.
                Err(error) => {
                    eprintln!(
                        "xtask: no verdicts of Linux {} with cgroup {}: {error:#}",
                        kernel.version,
                        cgroup.name()
                    );
                    failed = true;
                }
            }
        }
    }
    if matrix.columns.is_empty() {
        bail!(
            "no verdicts: none of these kernels has the memory controller in that hierarchy, or every VM failed"
        );
    }
    println!("{}", matrix.text());
    let out = workspace.root.join(&args.out);
    if let Some(directory) = out.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::write(&out, matrix.markdown()).with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!("xtask: written to {}", out.display());
    if let Some(html) = &args.html {
        let mut report = Command::new(&loader);
        report.arg("report").arg("-o").arg(workspace.root.join(html)).arg("--verdicts").args(outputs);
        process::run(&mut report)?;
    }
    Ok(if matrix.is_conclusive() && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The verdicts of one kernel, and the file that has them as JSON.
fn verify(
    workspace: &Workspace,
    args: &Args,
    loader: &Path,
    kernel: &Kernel,
    cgroup: Cgroup,
) -> Result<(Column, PathBuf)> {
    let command = ["memcg-trace", "verify", "-o", "json"].map(OsString::from);
    let vm = Vm {
        kernel: kernel.clone(),
        cgroup,
        init: Init::Busybox,
        memory_mb: args.memory,
        cpus: 2,
        append: String::new(),
        kvm: false,
        modules: args.modules.clone(),
        files: vec![(loader.to_owned(), "/bin/memcg-trace".into())],
        environment: Vec::new(),
        command: command.into_iter().chain(args.args.iter().cloned()).collect(),
        timeout: Duration::from_secs(args.timeout),
    };
    let mut stdout = Vec::new();
    let run = vm.run(workspace, Output::Stdout(&mut stdout))?;
    let column = Column::parse(&stdout, cgroup.name());
    let column = column.with_context(|| format!("verify failed with exit code {}", run.code))?;
    let output = format!("verify-{}-{}.json", kernel.version, cgroup.name());
    let output = workspace.target.join("xtask").join(output);
    fs::write(&output, stdout).with_context(|| format!("cannot write {}", output.display()))?;
    Ok((column, output))
}

/// A kernel without a known configuration is only booted with v2, as it may lack v1.
fn hierarchies(kernel: &Kernel, only: Option<Cgroup>) -> Vec<Cgroup> {
    match only {
        Some(cgroup) => vec![cgroup],
        None if kernel.may_have_memcg_v1() => vec![Cgroup::V1, Cgroup::V2],
        None => vec![Cgroup::V2],
    }
}
