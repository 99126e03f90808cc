//! `cargo xtask run`: builds the loader, and execs it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
use crate::{build, process};

/// Set up if needed, build, and run memcg-trace as root (by sudo when not root).
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for memcg-trace, after `--`
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let loader = build::build(workspace)?;
    // Replaces this process: signals reach the loader and its exit code is ours.
    let error = process::as_root(&loader)?.args(&args.args).exec();
    Err(error).with_context(|| format!("cannot run {}", loader.display()))
}
