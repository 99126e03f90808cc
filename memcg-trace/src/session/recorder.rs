//! `--record`: what the ledger is fed goes to a file as well.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::record::{End, Record, Start, recording::Writer};

/// Writes a recording as long as that works. An error ends the recording, not the tracing.
pub struct Recorder {
    path: PathBuf,
    /// `None` after an error.
    writer: Option<Writer<BufWriter<File>>>,
}

impl Recorder {
    /// Makes the file, or empties it.
    pub fn start(path: &Path, start: &Start) -> Result<Self> {
        // Paths and names of tasks are nobody else's business.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let writer = file.and_then(|file| Writer::new(BufWriter::new(file), start));
        let writer = writer.with_context(|| format!("cannot record to {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer: Some(writer) })
    }

    /// What is applied to the ledger.
    pub fn record(&mut self, record: &Record) {
        self.write(|writer| writer.record(record));
    }

    /// The ledger is told what time it is.
    pub fn time(&mut self, now_ns: u64) {
        self.write(|writer| writer.time(now_ns));
    }

    /// What was recorded so far outlives us from now on.
    pub fn flush(&mut self) {
        self.write(Writer::flush);
    }

    /// Whether the whole run was recorded.
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
        eprintln!(
            "memcg-trace: cannot record to {} any more: {error}; tracing goes on, and what was recorded can be replayed",
            self.path.display()
        );
    }
}

impl Drop for Recorder {
    /// The run ended by an error: there is no end to record, but what led to it is kept.
    fn drop(&mut self) {
        self.flush();
    }
}
