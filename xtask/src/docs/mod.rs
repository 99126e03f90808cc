//! `cargo xtask docs`: the pages that a command can write, and what all pages must hold.

pub mod check;
mod commands;
mod doctor;
mod json;
mod markdown;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::doctor::{CASES, Case};
use crate::build;
use crate::process::step;
use crate::workspace::Workspace;

/// Run `memcg-trace doctor` on each kernel of the tests, on this machine, and where something is missing, and write
/// docs/DOCTOR.md.
///
/// Runs as root. With --only, the other parts of the page stay as they are.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask docs
  cargo xtask docs --only 'Linux 6.1' --only lockdown")]
pub struct Args {
    /// Only parts whose title contains this; may be given more than once
    #[arg(long, value_name = "TITLE")]
    only: Vec<String>,
    /// Output file of the page
    #[arg(long, value_name = "FILE", default_value = "docs/DOCTOR.md")]
    out: PathBuf,
    /// Write nothing; check what all pages must hold: links, commands, files, the README's length
    #[arg(long, conflicts_with = "only")]
    check: bool,
    /// Take target/release/memcg-trace as it is
    #[arg(long)]
    no_build: bool,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let wanted =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|part| case.title.contains(part.as_str()));
    if !CASES.iter().any(wanted) {
        let titles: Vec<_> = CASES.iter().map(|case| case.title).collect();
        bail!("--only selects none of: {}", titles.join("; "));
    }
    if !args.no_build {
        build::build(workspace)?;
    }
    if args.check {
        check::check(workspace)?;
        return Ok(ExitCode::SUCCESS);
    }
    let out = workspace.root.join(&args.out);
    let before = fs::read_to_string(&out).unwrap_or_default();
    let mut page = doctor::INTRODUCTION.to_owned();
    for case in CASES {
        page += case.chapter;
        page += &match wanted(case) {
            true => step(case.title, || case.run(workspace))?,
            false => case.part_of(&before).with_context(|| {
                format!("{} has no part \"{}\": leave out --only", out.display(), case.title)
            })?,
        };
    }
    fs::write(&out, page).with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!("xtask: written to {}", out.display());
    Ok(ExitCode::SUCCESS)
}
