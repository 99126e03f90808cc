//! Recordings that are shown: a file, or a directory of `--record-dir`, and the time that is asked for.

mod time_arg;

use std::{
    fs::{self, File, OpenOptions},
    io,
    iter::Map,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    vec,
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

use self::time_arg::TimeArg;
use crate::{
    record::{
        Start,
        recording::{Joined, Reader, TimeWindow},
        rotation::{Before, choose, is_segment_name},
    },
    streams::say,
};

/// `--since` and `--until`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct WindowArgs {
    /// Show what happened from this time on: 2026-01-14T03:00:00Z, 03:00 (UTC, the last one) or 2h (ago)
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,

    /// Show what happened up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
}

/// What is shown, in the order in which it was recorded.
pub struct Recorded {
    path: PathBuf,
    files: Vec<PathBuf>,
    window: TimeWindow,
    /// What older recordings there are, and why they are not shown.
    before: Option<(String, String)>,
}

/// The files of a recording, opened one after the other.
pub type RecordedFiles = Map<vec::IntoIter<PathBuf>, fn(PathBuf) -> io::Result<File>>;

impl Recorded {
    /// Finds what is to be read. Tells what is left out.
    pub fn find(path: &Path, window: &WindowArgs) -> Result<Self> {
        let now = Timestamp::now();
        let at = |moment: Option<TimeArg>| moment.map(|moment| moment.before(now)).transpose();
        let (since, until) = (at(window.since)?, at(window.until)?);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            bail!("--since is later than --until; swap them");
        }
        let shown = path.display();
        let found = fs::metadata(path).with_context(|| format!("cannot open {shown}"))?;
        if !found.is_dir() && since.or(until).is_none() {
            // Which may be a pipe: read once.
            let (path, window) = (path.to_owned(), TimeWindow::default());
            return Ok(Self { files: vec![path.clone()], path, window, before: None });
        }
        let files = if found.is_dir() {
            segments(path).with_context(|| format!("cannot read {shown}"))?
        } else {
            let start = start_of(path).with_context(|| format!("cannot replay {shown}"))?;
            vec![(path.to_owned(), start)]
        };
        if files.is_empty() {
            bail!("no recording is in {shown}; memcg-trace serve --record-dir makes them");
        }
        let Some(chosen) = choose(files, since, until) else {
            bail!("nothing was recorded to {shown} up to then; pass a later --until");
        };
        let began = chosen.began;
        if let Some(since) = since.filter(|since| *since < began) {
            say(&format!("what is shown begins at {began:.0}, not at {since:.0}"));
        }
        let before = chosen.before.map(|before| {
            let reason = match before {
                Before::OtherBoot => "the node was booted since",
                Before::NoWalk => "memcg-trace was started anew, and cannot walk here",
            };
            (format!("what was recorded before {began:.0}"), format!("{reason}; --until shows it"))
        });
        if let Some((what, reason)) = &before {
            say(&format!("not shown: {what} ({reason})"));
        }
        let window = TimeWindow { grows: found.is_dir() && is_written_to(path), ..chosen.window };
        Ok(Self { path: path.to_owned(), files: chosen.files, window, before })
    }

    pub fn window(&self) -> TimeWindow {
        self.window
    }

    /// The files from the first one on.
    pub fn files(&self) -> RecordedFiles {
        self.files.clone().into_iter().map(open_recording)
    }

    /// Opens it.
    pub fn open(&self) -> Result<Joined<File, RecordedFiles>> {
        Joined::open(self.files(), self.window)
            .with_context(|| format!("cannot replay {}", self.path.display()))
    }

    /// The start, with what is not shown.
    pub fn start(&self, start: &Start) -> Start {
        let mut start = start.clone();
        start.unknown.extend(self.before.clone());
        start
    }
}

/// The recordings of a rotation. One that cannot be read is told and left out.
fn segments(directory: &Path) -> io::Result<Vec<(PathBuf, Start)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_segment_name(entry.file_name().as_bytes()) || !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        match start_of(&path) {
            Ok(start) => files.extend(start.segment.is_some().then_some((path, start))),
            Err(error) => say(&format!("cannot replay {}: {error:#}; it is left out", path.display())),
        }
    }
    Ok(files)
}

fn start_of(path: &Path) -> Result<Start> {
    Ok(Reader::open(open_recording(path.to_owned())?)?.start().clone())
}

/// Neither through a link nor waiting for whoever writes to a pipe, if it is one of a directory.
fn open_recording(path: PathBuf) -> io::Result<File> {
    let in_rotation = path.file_name().is_some_and(|name| is_segment_name(name.as_bytes()));
    let flags = if in_rotation { libc::O_NOFOLLOW | libc::O_NONBLOCK } else { 0 };
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whoever records has locked it.
fn is_written_to(directory: &Path) -> bool {
    let locked = File::open(directory).map(|directory| directory.try_lock_shared());
    matches!(locked, Ok(Err(fs::TryLockError::WouldBlock)))
}
