//! What our pages must hold, as a step of `cargo xtask test`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::commands::Programs;
use super::json;
use super::markdown::Page;
use super::translation;
use crate::process;
use crate::workspace::Workspace;

const README: &str = "README.md";
/// The README in other languages.
const TRANSLATIONS: &[&str] = &["README.zh-CN.md"];
/// Says which test shows what.
const SECURITY: &str = "SECURITY.md";
/// Lines of the README: two screens and a half.
const README_LINES: usize = 200;
/// Columns of its code blocks: what GitHub shows without a scroll bar.
const README_COLUMNS: usize = 100;

/// Checks the length of the README, the commands, files and tests that pages name, the links between them, and that docs/JSON.md
/// has all keys.
pub fn check(workspace: &Workspace) -> Result<()> {
    let pages = read(workspace)?;
    let programs = Programs::find(workspace)?;
    let functions = sources(workspace)?;
    let mut objections = Vec::new();
    for (path, page) in &pages {
        let mut object =
            |line: usize, what: String| objections.push(format!("{}:{line}: {what}", path.display()));
        if path == Path::new(README) {
            if page.lines > README_LINES {
                object(page.lines, format!("{} lines: at most {README_LINES}", page.lines));
            }
            for (line, columns) in wide(page) {
                object(line, format!("{columns} columns: at most {README_COLUMNS}"));
            }
        }
        for (line, text) in page.code.iter().chain(&page.spans) {
            if let Some(objection) = programs.objection(text) {
                object(*line, format!("{objection}: `{text}`"));
            }
        }
        for (line, span) in &page.spans {
            if is_path(span) && !workspace.root.join(span).exists() {
                object(*line, format!("there is no `{span}`"));
            }
        }
        if path == Path::new(SECURITY) {
            for (line, span) in page.spans.iter().filter(|(_, span)| is_test(span)) {
                if !functions.contains(&format!("fn {span}(")) {
                    object(*line, format!("there is no test `{span}`"));
                }
            }
        }
        for (line, target) in &page.links {
            if !resolves(workspace, &pages, path, target) {
                object(*line, format!("there is no {target}"));
            }
        }
    }
    let text = |name: &str| {
        let path = workspace.root.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    for name in TRANSLATIONS {
        let found = translation::objections(&text(README)?, &text(name)?);
        objections.extend(found.into_iter().map(|objection| format!("{name}: {objection}")));
    }
    objections.extend(json::undocumented(workspace)?);
    if !objections.is_empty() {
        bail!("the documentation is wrong:\n{}", objections.join("\n"));
    }
    Ok(())
}

/// Every page that git knows, by its path in the checkout.
fn read(workspace: &Workspace) -> Result<BTreeMap<PathBuf, Page>> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]);
    let mut pages = BTreeMap::new();
    for path in process::capture(&mut git)?.lines().map(PathBuf::from) {
        let text = fs::read_to_string(workspace.root.join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        pages.insert(path, Page::parse(&text));
    }
    Ok(pages)
}

/// Whether a span of code is called like a test, whose names are sentences.
fn is_test(span: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    span.matches('_').count() > 1 && span.chars().all(letter)
}

/// All Rust of the checkout that has tests of memcg-trace.
fn sources(workspace: &Workspace) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "memcg-trace/*.rs",
    ]);
    let files = process::capture(&mut git)?;
    let read = |file: &str| {
        fs::read_to_string(workspace.root.join(file)).with_context(|| format!("cannot read {file}"))
    };
    files.lines().map(read).collect()
}

/// Whether a span of code names a file of the checkout: a path below one of its directories, with nothing to fill in.
fn is_path(span: &str) -> bool {
    const DIRECTORIES: [&str; 6] =
        ["memcg-trace/", "memcg-trace-common/", "memcg-trace-ebpf/", "xtask/", "docs/", ".github/"];
    // NAME stands for what the reader fills in, but pages are called so.
    let given = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
    DIRECTORIES.iter().any(|directory| span.starts_with(directory))
        && (span.chars().all(given) || span.ends_with(".md"))
}

/// The lines of code that are too wide, with their columns.
fn wide(page: &Page) -> impl Iterator<Item = (usize, usize)> {
    let columns = page.code.iter().map(|(line, text)| (*line, text.chars().count()));
    columns.filter(|(_, columns)| *columns > README_COLUMNS)
}

/// Whether a link leads to a file of the checkout, and to a heading of it if it names one. Others' sites are not asked.
fn resolves(workspace: &Workspace, pages: &BTreeMap<PathBuf, Page>, from: &Path, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => from.to_owned(),
        path => normal(&from.with_file_name(path)),
    };
    match pages.get(&path) {
        Some(page) => anchor.is_empty() || page.anchors.iter().any(|known| known == anchor),
        None => anchor.is_empty() && workspace.root.join(&path).exists(),
    }
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_called_by_sentences() {
        let spans =
            ["nothing_leads_out", "bombs_are_given_up", "read_only", "read_the_page()", "fuzz/", "a_b_c_d E"];
        assert_eq!(spans.map(is_test), [true, true, false, false, false, false]);
    }

    #[test]
    fn paths_and_columns() {
        assert_eq!(normal(Path::new("docs/../memcg-trace/src")), Path::new("memcg-trace/src"));
        for (span, path) in [
            ("xtask/src/main.rs", true),
            ("docs/JSON.md", true),
            ("xtask/src/NAME.rs", false),
            ("memcg-trace/tests/*.rs", false),
            ("memcg-trace scan", false),
            ("target/release/memcg-trace", false),
        ] {
            assert_eq!(is_path(span), path, "{span}");
        }
        let page = Page::parse(&format!("```\n{}\n{}\n```\n", "x".repeat(100), "ü".repeat(101)));
        assert_eq!(wide(&page).collect::<Vec<_>>(), [(3, 101)]);
    }
}
