//! What a release is called, and when it was made: the same from the same commit.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::Workspace;

/// The version, and the commit that it was built from.
pub struct Release {
    /// Of Cargo.toml.
    pub version: String,
    /// Twelve digits, and `-dirty` if the checkout has changes beside it.
    pub commit: String,
    /// The time of all files, in seconds since 1970: the commit's, or SOURCE_DATE_EPOCH.
    pub time: u64,
}

impl Release {
    pub fn of(workspace: &Workspace) -> Result<Self> {
        let git = |arguments: &[&str]| {
            let text = process::capture(Command::new("git").current_dir(&workspace.root).args(arguments))?;
            Ok::<_, anyhow::Error>(text.trim().to_owned())
        };
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(time) => time,
            Err(_) => git(&["log", "-1", "--format=%ct"])?,
        };
        let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            commit += "-dirty";
        }
        let time = time.parse().with_context(|| format!("SOURCE_DATE_EPOCH is no time: {time}"))?;
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), commit, time })
    }

    /// The time as `2026-11-27T02:50:00Z`.
    pub fn rfc3339(&self) -> Result<String> {
        self.date("+%Y-%m-%dT%H:%M:%SZ")
    }

    /// The time in a format of date(1), in UTC and English.
    pub fn date(&self, format: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").arg("--utc").arg(format!("--date=@{}", self.time)).arg(format);
        Ok(process::capture(&mut date)?.trim().to_owned())
    }
}
