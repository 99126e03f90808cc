//! `cargo xtask docs`: the pages that a command can write, and what all pages must hold.

mod case;
pub mod check;
mod commands;
mod doctor;
mod json;
mod markdown;
mod picture;
mod pins;
mod translation;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::case::Case;
use crate::build;
use crate::process::step;
use crate::workspace::Workspace;

/// Run `memcg-trace doctor` on each kernel of the tests, on this machine, and where something is missing, and `memcg-trace
/// explain` on what pins memcgs, and write docs/DOCTOR.md and docs/PINS.md; and a picture of `memcg-trace top`, docs/top.svg.
///
/// Runs as root. With --page and --only, the other pages and parts stay as they are.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask docs
  cargo xtask docs --page PINS
  cargo xtask docs --page DOCTOR --only 'Linux 6.1' --only lockdown")]
pub struct Args {
    /// Only parts whose title contains this; may be given more than once
    #[arg(long, value_name = "TITLE")]
    only: Vec<String>,
    /// Only the page with this name
    #[arg(long, value_name = "DOCTOR|PINS|top")]
    page: Option<String>,
    /// Write nothing; check what all pages must hold: links, commands, files, the README's length
    #[arg(long, conflicts_with = "only")]
    check: bool,
    /// Take target/release/memcg-trace as it is
    #[arg(long)]
    no_build: bool,
}

/// A page that runs write.
struct Written {
    name: &'static str,
    introduction: &'static str,
    cases: &'static [Case],
}

const PAGES: &[Written] = &[
    Written { name: "DOCTOR", introduction: doctor::INTRODUCTION, cases: doctor::CASES },
    Written { name: "PINS", introduction: pins::INTRODUCTION, cases: pins::CASES },
];

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if !args.no_build {
        build::build(workspace)?;
    }
    if args.check {
        check::check(workspace)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.page.as_deref().is_none_or(|name| name == PICTURE) && args.only.is_empty() {
        draw(workspace)?;
        if args.page.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let named = |page: &&Written| args.page.as_deref().is_none_or(|name| name == page.name);
    let wanted =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|part| case.title.contains(part.as_str()));
    let pages = PAGES.iter().filter(named).filter(|page| page.cases.iter().any(wanted));
    let pages: Vec<&Written> = pages.collect();
    if pages.is_empty() {
        let titles: Vec<_> = PAGES.iter().flat_map(|page| page.cases).map(|case| case.title).collect();
        bail!("--page and --only select none of: {}", titles.join("; "));
    }
    pages.into_iter().try_for_each(|page| page.write(workspace, wanted))?;
    Ok(ExitCode::SUCCESS)
}

/// The picture's name.
const PICTURE: &str = "top";

/// Writes the picture.
fn draw(workspace: &Workspace) -> Result<()> {
    let out = workspace.root.join("docs").join(PICTURE).with_extension("svg");
    let text = step(picture::CASE.title, || picture::CASE.print(workspace))?;
    let svg = picture::svg(picture::CASE.title, &text)?;
    fs::write(&out, svg).with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!("xtask: written to {}", out.display());
    Ok(())
}

impl Written {
    /// Runs the cases that are wanted and takes the others from the page as it is.
    fn write(&self, workspace: &Workspace, wanted: impl Fn(&Case) -> bool) -> Result<()> {
        let out = workspace.root.join("docs").join(self.name).with_extension("md");
        let before = fs::read_to_string(&out).unwrap_or_default();
        let mut page = self.introduction.to_owned();
        for case in self.cases {
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
        Ok(())
    }
}
