//! Where a page is written to.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::streams::Stdout;

/// To the file, readable by its owner only, or to standard output. Another process sees the file as it was or as it is.
pub fn write(path: Option<&Path>, page: &[u8]) -> Result<()> {
    match path {
        None => {
            let mut out = Stdout::new();
            out.write_all(page)?;
            Ok(out.flush()?)
        }
        Some(path) => replace(path, page)
            .with_context(|| format!("cannot write {}; pass another file to -o", path.display())),
    }
}

fn replace(path: &Path, page: &[u8]) -> io::Result<()> {
    // A device or a pipe is written to, as there is nothing to replace.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(page);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(page)?;
            fs::rename(&new, path)
        });
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&new);
    }
    written
}
