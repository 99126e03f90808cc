//! `--record`: also writes the input of the ledger to a file.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::Book;
use crate::{
    record::{Clock, End, Record, Start, recording::Writer},
    streams::say,
};

/// Writes a recording. An error ends the recording, not the tracing.
pub struct Recorder {
    path: PathBuf,
    /// `None` after an error.
    writer: Option<Writer<BufWriter<File>>>,
}

impl Recorder {
    /// Creates the file, or takes an empty one: what is in it may be all that there is of an earlier run.
    pub fn start(path: &Path, start: &Start) -> Result<Self> {
        if fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0) {
            bail!(
                "cannot record to {}: it has something in it; remove it, or pass another name",
                path.display()
            );
        }
        Self::open(path, start, OpenOptions::new().create(true).truncate(true))
    }

    /// Creates a file whose name nobody gave, in the middle of a run: whatever has that name already, a link for one, is
    /// somebody else's.
    pub fn start_new(path: &Path, book: &Book, clock: Clock) -> Result<Self> {
        let start = book.start_at(book.now_ns(), clock);
        let mut recorder = Self::open(path, &start, OpenOptions::new().create_new(true))?;
        recorder.write(|writer| writer.checkpoint(&book.checkpoint(), &book.known()));
        Ok(recorder)
    }

    fn open(path: &Path, start: &Start, options: &mut OpenOptions) -> Result<Self> {
        // Paths and task names are private.
        let file = options.write(true).mode(0o600).open(path).and_then(|file| {
            // It may have been there, and may be no file.
            if file.metadata()?.is_file() {
                file.set_permissions(Permissions::from_mode(0o600))?;
            }
            Ok(file)
        });
        let writer = file.and_then(|file| Writer::new(BufWriter::new(file), start));
        let writer = writer.with_context(|| format!("cannot record to {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer: Some(writer) })
    }

    /// Writes a record that is applied to the ledger.
    pub fn record(&mut self, record: &Record) {
        self.write(|writer| writer.record(record));
    }

    /// Writes a time that is passed to the ledger.
    pub fn time(&mut self, now_ns: u64) {
        self.write(|writer| writer.time(now_ns));
    }

    /// Flushes everything recorded so far.
    pub fn flush(&mut self) {
        self.write(Writer::flush);
    }

    /// Ends the recording; returns whether it is complete.
    pub fn finish(mut self, end: &End) -> bool {
        let Some(writer) = self.writer.take() else { return false };
        writer.finish(end).map_err(|error| self.complain(&error)).is_ok()
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<BufWriter<File>>) -> io::Result<()>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = write(writer)
        {
            self.complain(&error);
            self.writer = None;
        }
    }

    fn complain(&self, error: &io::Error) {
        say(&format!(
            "cannot record to {} any more: {error}; tracing continues, and the recording so far can be replayed",
            self.path.display()
        ));
    }
}

impl Drop for Recorder {
    /// The run ended with an error: there is no end to record, but keep everything before it.
    fn drop(&mut self) {
        self.flush();
    }
}
