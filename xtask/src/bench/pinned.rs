//! Removed cgroups that are pinned by pages of files on a tmpfs.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{self, Child, Command};

use anyhow::{Context as _, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

use super::churn::Churn;
use super::zombies::Cgroups;
use crate::process::pipe;

/// Freed on drop.
pub struct PinnedCgroups {
    cgroups: usize,
    files_each: usize,
    files: PathBuf,
}

/// A process that has files open; it ends when this is dropped.
pub struct Holder(Child);

/// Enters each cgroup, and writes a file there: built-in commands only, as in [`super::zombies`].
const WRITER: &str = r#"
pages=$(head -c "$1" /dev/zero | tr '\0' x)
while read -r cgroup file; do echo 0 >"$cgroup/cgroup.procs" && printf %s "$pages" >"$file"; done"#;
const PAGE_BYTES: usize = 4096;

impl PinnedCgroups {
    /// Makes cgroups, in each of them so many files of so many pages, and removes them.
    pub fn leave(churn: &Churn, cgroups: usize, files_each: usize, pages: usize) -> Result<Self> {
        let files = PathBuf::from(format!("/dev/shm/memcg-trace-bench.{}", process::id()));
        fs::create_dir(&files).with_context(|| format!("cannot make {}", files.display()))?;
        let pinned = Self { cgroups, files_each, files };
        let mut made = Cgroups::new(churn);
        let mut list = String::new();
        for number in 0..cgroups {
            let name = format!("pinned-{number}");
            made.make(&name)?;
            for file in 0..files_each {
                let (cgroup, file) = (churn.path().join(&name), pinned.file(number, file));
                // Writing to a String cannot fail.
                let _ = writeln!(list, "{} {}", cgroup.display(), file.display());
            }
        }
        let bytes = (pages * PAGE_BYTES).to_string();
        pipe(Command::new("sh").args(["-c", WRITER, "sh", &bytes]), list.as_bytes())?;
        drop(made);
        Ok(pinned)
    }

    fn file(&self, cgroup: usize, file: usize) -> PathBuf {
        self.files.join(format!("{cgroup}-{file}"))
    }

    /// Has other processes open each file so many times; they have no more than the limit of open files each.
    pub fn hold_open(&self, times: usize) -> Result<Vec<Holder>> {
        let (soft, hard) =
            getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")?;
        // Some are for us.
        let each = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(100).clamp(1, 1 << 16);
        let files = (0..self.cgroups).flat_map(|cgroup| (0..self.files_each).map(move |file| (cgroup, file)));
        let files: Vec<_> = files.flat_map(|file| std::iter::repeat_n(file, times)).collect();
        let holders = files.chunks(each).map(|files| self.holder(files)).collect();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).context("cannot restore the limit of open files")?;
        holders
    }

    fn holder(&self, files: &[(usize, usize)]) -> Result<Holder> {
        // Not closed at exec, unlike what the standard library opens: it inherits them.
        let open = |(cgroup, file): &(usize, usize)| {
            open(&self.file(*cgroup, *file), OFlag::O_RDONLY, Mode::empty())
        };
        let inherited = files.iter().map(open).collect::<nix::Result<Vec<OwnedFd>>>();
        let inherited = inherited.context("cannot open the files")?;
        let child = Command::new("sleep").arg("infinity").spawn().context("cannot run sleep")?;
        drop(inherited);
        Ok(Holder(child))
    }
}

impl Drop for PinnedCgroups {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.files) {
            eprintln!("xtask: cannot remove {}: {error}", self.files.display());
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("xtask: cannot end sleep: {error}");
        }
    }
}
