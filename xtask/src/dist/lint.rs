//! What the distributions' own checkers say of the packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::names_in;
use crate::install;
use crate::process::{self, step};
use crate::workspace::Workspace;

/// Exceptions from rpmlint's rules, each with its reason; lintian's are in the package (deb.rs).
const RPMLINT: &str = "xtask/src/dist/rpmlint.toml";

/// Fails if lintian or rpmlint finds an error in a package of the directory.
pub fn check(workspace: &Workspace, out: &Path) -> Result<()> {
    let programs = ["lintian", "rpmlint"];
    let missing: Vec<_> = programs.into_iter().filter(|program| process::find(program).is_none()).collect();
    if !missing.is_empty() {
        install::packages(&missing)?;
    }
    let names = names_in(out)?;
    let ending = |ending: &str| -> Vec<PathBuf> {
        names.iter().filter(|name| name.ends_with(ending)).map(|name| out.join(name)).collect()
    };
    step("check the packages by lintian and rpmlint", || {
        process::run(
            Command::new("lintian").args(["--fail-on", "error", "--allow-root"]).args(ending(".deb")),
        )?;
        let exceptions = workspace.root.join(RPMLINT);
        process::run(Command::new("rpmlint").arg("--config").arg(exceptions).args(ending(".rpm")))
    })
}
