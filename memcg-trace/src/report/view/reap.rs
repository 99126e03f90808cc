//! Page cache that was given back.

use serde::Serialize;

use crate::{cause::PinTotal, report::escape::Name};

/// One file; a line of the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct ReapedFile<'a> {
    pub path: Option<Name<'a>>,
    pub path_escaped: bool,
    /// `major:minor`
    pub device: String,
    pub inode: u64,
    /// Of dying memcgs to its folios.
    pub refs: u64,
    /// Of these, the ones to folios that nobody maps, if it was not left alone.
    pub refs_dropped: u64,
    /// Dying memcgs that it pins.
    pub memcgs: u64,
    /// Charged to these.
    pub bytes: u64,
    /// Why it was left alone; null: its clean and unmapped page cache was dropped, or would be.
    pub refused: Option<String>,
}

/// Serializes as the last line of the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct ReapView<'a> {
    /// Nothing was dropped, this is what would be.
    pub dry_run: bool,
    /// Dying memcgs that were looked at.
    pub dying: u64,
    pub files_dropped: u64,
    pub files_refused: u64,
    pub refs_before: u64,
    /// Of the same memcgs; null: a dry run.
    pub refs_after: Option<u64>,
    /// Of these memcgs; null: a dry run.
    pub freed: Option<u64>,
    /// What still pins the rest.
    pub pins: Vec<PinTotal>,
    /// In JSON, each is a line of its own before the summary.
    #[serde(skip)]
    pub files: Vec<ReapedFile<'a>>,
}
