//! The proof that a release depends on its commit alone: it is built once more, in another directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{OUT, Release, SUMS};
use crate::arch::Arch;
use crate::process::{self, step};
use crate::workspace::{Workspace, cargo};

/// Builds the commit in a clone, with the same compilers and nothing else of this checkout, and compares all files.
pub fn compare(workspace: &Workspace, release: &Release, archs: &[&Arch], out: &Path) -> Result<()> {
    if release.commit.ends_with("-dirty") {
        bail!("there are changes that are not committed: a clone has not got them");
    }
    let clone = workspace.scratch().join("dist-again");
    let _ = fs::remove_dir_all(&clone);
    step("build the release once more", || {
        process::run(
            Command::new("git").args(["clone", "--quiet", "--shared"]).arg(&workspace.root).arg(&clone),
        )?;
        let mut dist = cargo();
        dist.current_dir(&clone)
            .env_remove("CARGO_TARGET_DIR")
            .env("SOURCE_DATE_EPOCH", release.time.to_string());
        dist.args(["xtask", "dist", "--out", OUT]);
        for arch in archs {
            dist.args(["--arch", arch.debian]);
        }
        process::run(&mut dist)
    })?;
    let sums = |directory: &Path| {
        let path = directory.join(SUMS);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let differing = differing(&sums(out)?, &sums(&clone.join(OUT))?);
    if !differing.is_empty() {
        bail!("not the same the second time: {} (kept in {})", differing.join(", "), clone.display());
    }
    fs::remove_dir_all(&clone).with_context(|| format!("cannot remove {}", clone.display()))
}

/// The files that two lists of checksums do not agree on.
fn differing(one: &str, other: &str) -> Vec<String> {
    let (one, other): (BTreeSet<_>, BTreeSet<_>) = (one.lines().collect(), other.lines().collect());
    let names = one.symmetric_difference(&other).filter_map(|line| line.split_whitespace().nth(1));
    names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_or_are_missing() {
        let (one, other) = ("1a  a.deb\n1b  b.rpm\n", "1a  a.deb\n2b  b.rpm\n1c  c.tar\n");
        assert_eq!(differing(one, other), ["b.rpm", "c.tar"]);
        assert_eq!(differing(one, one), Vec::<String>::new());
    }
}
