//! `cargo xtask soak`: hours of everything at once, in a VM.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::test;
use crate::vm::{Cgroup, Vm};
use crate::workspace::{Profile, Workspace};
use crate::{build, setup};

/// Run `memcg-trace serve` and `trace` in a VM while cgroups come, go and leak, tenants leave garbage, clients stall and a CPU goes
/// and comes back.
///
/// Prints a row of a table each minute or so: what both take (memory, descriptors, threads), and what they and the kernel count.
/// Fails if they grow, or if their ledgers are not what the kernel's own lists say in the end.
#[derive(clap::Args)]
pub struct Args {
    /// How long
    #[arg(long, value_name = "HOURS", default_value_t = 2.0)]
    hours: f64,
    /// How long, in minutes
    #[arg(long, value_name = "MINUTES", conflicts_with = "hours")]
    minutes: Option<f64>,
    /// A series of Debian's kernels, as in `cargo xtask vm`
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
}

/// For the start and the end: an emulated CPU is slow.
const BESIDE: Duration = Duration::from_secs(10 * 60);

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let seconds = args.minutes.map_or(args.hours * 3600.0, |minutes| minutes * 60.0);
    if !(60.0..=1e6).contains(&seconds) {
        bail!("a soak takes a minute at least, and some days at most");
    }
    let workspace = &workspace.with(Profile::Integration);
    setup::ensure_tools(&setup::ensure_toolchain(workspace)?)?;
    build::build(workspace)?;
    let only = ["--ignored", "--nocapture", "soak"].map(Into::into);
    let mut vm = test::test_vm(workspace, (&args.kernel, Cgroup::V2), "/bin", &only)?;
    vm.environment.push(("MEMCG_TRACE_SOAK_SECONDS".to_owned(), format!("{seconds:.0}")));
    let timeout = Duration::from_secs_f64(seconds) + BESIDE;
    test::pass(workspace, &Vm { timeout, ..vm }, &mut io::stdout())?;
    Ok(ExitCode::SUCCESS)
}
