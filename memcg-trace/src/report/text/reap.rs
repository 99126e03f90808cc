//! Page cache that was given back: the files, and the sums.

use std::io::{self, Write};

use super::{
    GOOD, Page, WARN, pinned,
    table::{Columns, heading},
    words::{many, or},
};
use crate::{
    report::view::ReapView,
    units::{Count, Size, UNKNOWN},
};

/// Longest lists of files.
const FILES: usize = 20;
const IN_JSON: &str = "-o json has all";

pub fn reap(out: &mut impl Write, reap: &ReapView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    if reap.files_dropped > 0 {
        let dropped =
            if reap.dry_run { "Page cache that would be dropped" } else { "Page cache that was dropped" };
        heading(out, dropped, page)?;
        let mut table = Columns::new(["REFS>", "MEMCGS>", "SIZE>", "FILE~"]);
        for file in reap.files.iter().filter(|file| file.refused.is_none()).take(FILES) {
            table.row([
                Count(file.refs_dropped).to_string(),
                Count(file.memcgs).to_string(),
                format!(
                    "{}{}",
                    if file.refs_dropped < file.refs { "≤ " } else { "" },
                    Size { bytes: file.bytes }
                ),
                or(file.path, UNKNOWN),
            ]);
        }
        table.print(out, page, reap.files_dropped, IN_JSON)?;
    }
    if reap.files_refused > 0 {
        heading(out, "Left alone", page)?;
        let mut table = Columns::new(["REFS>", "FILE~", "WHY<"]);
        for file in reap.files.iter().filter(|file| file.refused.is_some()).take(FILES) {
            let why = file.refused.clone().unwrap_or_default();
            table.row([Count(file.refs).to_string(), or(file.path, UNKNOWN), why]);
        }
        table.print(out, page, reap.files_refused, IN_JSON)?;
    }
    if !reap.pins.is_empty() {
        heading(out, if reap.dry_run { "Pinned by" } else { "Still pinned by" }, page)?;
        pinned::table(out, &reap.pins, page)?;
    }
    let (files, memcgs) = (many(reap.files_dropped, "file"), many(reap.dying, "memcg"));
    writeln!(out)?;
    let (style, verdict) = match (reap.freed, reap.refs_after) {
        (Some(freed), Some(after)) => {
            let refs = format!("{} of {} references are left", Count(after), Count(reap.refs_before));
            let style = if freed > 0 || reap.dying == 0 { GOOD } else { WARN };
            (style, format!("Dropped the page cache of {files}: {} of {memcgs} freed, {refs}.", Count(freed)))
        }
        _ => {
            (WARN, format!("Dry run: the page cache of {files} pins some of {memcgs}; nothing was dropped."))
        }
    };
    let style = page.style(style);
    writeln!(out, "{style}{verdict}{style:#}")
}
