//! The licences of the crates that a release is linked from, whose texts must go along with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::crates::Crate;

/// How files with licences and notices begin, whatever their ending.
const FILES: &[&str] = &["licen", "copying", "notice", "unlicense"];
const HEAD: &str = "\
memcg-trace is linked from the crates below. Each is followed by its licence; the texts are at the end, each once, with the
crates whose packages have it.
";

/// One text with all crates, and all their licences.
pub fn text(crates: &[Crate]) -> Result<String> {
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    let mut out = HEAD.to_owned() + "\n";
    for found in crates {
        let address = found.repository.as_deref().unwrap_or("crates.io");
        writeln!(out, "{} {}  {}  {address}", found.name, found.version, found.license)?;
        for text in texts_in(&found.directory)? {
            texts.entry(text).or_default().push(found.id());
        }
    }
    // In the order of the crates, as BTreeMap's would be that of the texts.
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (text, of) in texts {
        let rule = "-".repeat(80);
        write!(out, "\n{rule}\n{}\n{rule}\n\n{}\n", of.join(" "), text.trim_end())?;
    }
    Ok(out)
}

/// The contents of the files with licences, in the order of their names, with Unix line ends.
fn texts_in(directory: &Path) -> Result<Vec<String>> {
    let context = || format!("cannot read {}", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if FILES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.replace("\r\n", "\n"))
    };
    paths.iter().map(read).collect()
}
