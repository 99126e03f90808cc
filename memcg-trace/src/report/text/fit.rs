//! Fits the columns of a table to a line.

use unicode_width::UnicodeWidthChar as _;

use super::page::columns;

/// Behind the name of a column, what becomes of it where the line is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elastic {
    /// Nothing: numbers and words.
    No,
    /// A path: ids in it are cut to what command line tools show, then the path in its middle.
    Path,
    /// Text: its end is cut.
    Text,
}

impl Elastic {
    /// By the mark behind a name: `~` paths, `<` text; numbers (`>`) and the rest are not cut.
    pub fn of(name: &str) -> Self {
        match name.chars().last() {
            Some('~') => Self::Path,
            Some('<') => Self::Text,
            _ => Self::No,
        }
    }

    /// The name without its mark.
    pub fn unmarked(name: &str) -> &str {
        name.trim_end_matches(['>', '~', '<'])
    }
}

/// Narrower than this nothing tells.
const NARROWEST: usize = 12;
/// Hex digits that runtimes show of an id, and from how many on it is one.
const SHORT_ID: usize = 12;
const ID: usize = 32;
/// Stands for what was cut out.
const CUT: &str = "…";

/// Cuts cells so that no row is wider than `width`, if that is possible; `gap` is before each column.
pub fn fit(kinds: &[Elastic], rows: &mut [Vec<String>], width: usize, gap: usize) {
    let measure = |rows: &[Vec<String>]| -> Vec<usize> {
        let widest = |column: usize| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0);
        (0..kinds.len()).map(widest).collect()
    };
    let over = |widths: &[usize]| (widths.iter().sum::<usize>() + gap * kinds.len()).saturating_sub(width);
    let mut widths = measure(rows);
    if over(&widths) == 0 {
        return;
    }
    for row in rows.iter_mut() {
        for (cell, kind) in row.iter_mut().zip(kinds) {
            if *kind != Elastic::No {
                *cell = short_ids(cell);
            }
        }
    }
    widths = measure(rows);
    while over(&widths) > 0 {
        let elastic = widths.iter_mut().zip(kinds);
        let elastic = elastic.filter(|(width, kind)| **kind != Elastic::No && **width > NARROWEST);
        let Some((widest, _)) = elastic.max_by_key(|(width, _)| **width) else { break };
        *widest -= 1;
    }
    for row in rows {
        for ((cell, kind), &width) in row.iter_mut().zip(kinds).zip(&widths) {
            match kind {
                Elastic::Path => *cell = cut_middle(cell, width),
                Elastic::Text => *cell = cut_end(cell, width),
                Elastic::No => {}
            }
        }
    }
}

/// A path that takes no more than `width` columns: its ids short, then its beginning and its end.
pub fn path(path: &str, width: usize) -> String {
    if columns(path) <= width {
        return path.to_owned();
    }
    cut_middle(&short_ids(path), width)
}

/// The first digits of each id.
fn short_ids(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let length = rest[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
        let kept = if length >= ID { SHORT_ID } else { length };
        short += &rest[..start + kept];
        if kept < length {
            short += CUT;
        }
        rest = &rest[start + length..];
    }
    short + rest
}

/// Two thirds of what is left are the end: there is what tells one from another.
fn cut_middle(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let end = kept - kept / 3;
    beginning(text, kept / 3).to_owned() + CUT + ending(text, end)
}

fn cut_end(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    beginning(text, width.saturating_sub(1)).to_owned() + CUT
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    columns(text)
}

/// As much of it as takes no more than `width` columns.
fn beginning(text: &str, width: usize) -> &str {
    let end = fitting(text.char_indices(), width).last().map_or(0, |(place, c)| place + c.len_utf8());
    &text[..end]
}

/// The same of its end.
fn ending(text: &str, width: usize) -> &str {
    let start = fitting(text.char_indices().rev(), width).last().map_or(text.len(), |(place, _)| place);
    &text[start..]
}

/// The first of these characters, up to `width` columns.
fn fitting(chars: impl Iterator<Item = (usize, char)>, width: usize) -> impl Iterator<Item = (usize, char)> {
    let mut used = 0;
    chars.take_while(move |(_, c)| {
        used += c.width().unwrap_or(0);
        used <= width
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID64: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";

    #[test]
    fn a_path_keeps_its_ends() {
        let long = format!("/kubepods/burstable/pod6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e/{ID64}");
        let table = [
            (200, long.as_str()),
            (80, "/kubepods/burstable/pod6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e/17db96a24ae1…"),
            (40, "/kubepods/bur…c47ac5979e/17db96a24ae1…"),
            (20, "/kubep…17db96a24ae1…"),
        ];
        for (width, expected) in table {
            let cut = path(&long, width);
            assert!(columns(&cut) <= width, "{cut}");
            if width > 40 {
                assert_eq!(cut, expected);
            } else {
                let (start, end) = expected.split_once('…').expect("a cut");
                assert!(cut.starts_with(&start[..4]) && cut.ends_with(&end[end.len() - 8..]), "{cut}");
            }
        }
        assert_eq!(path("/a", 1), "…");
        // Two columns each.
        assert_eq!(path("/日本語日本語", 8), "/…本語");
        assert_eq!(path("/short", 20), "/short");
    }

    #[test]
    fn only_what_is_elastic_is_cut() {
        let row =
            || vec!["12345".to_owned(), format!("/docker/{ID64}"), "shmem 1.0 MiB, file 3.0 MiB".to_owned()];
        let kinds = [Elastic::No, Elastic::Path, Elastic::Text];
        let fitted = |width| {
            let mut rows = [row()];
            fit(&kinds, &mut rows, width, 2);
            let [row] = rows;
            row
        };
        assert_eq!(fitted(200), row());
        assert_eq!(fitted(80)[1], "/docker/17db96a24ae1…");
        for width in [60, 50, 40] {
            let row = fitted(width);
            assert_eq!(row[0], "12345");
            assert!(row.iter().map(|cell| columns(cell) + 2).sum::<usize>() <= width, "{row:?}");
        }
        // Too narrow for anything: as good as it gets.
        assert_eq!(columns(&fitted(10)[1]), NARROWEST);
    }
}
