//! What the text is written on: a terminal of some width, or a file.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthChar as _;

/// Whether the output may hold escape sequences; names from the kernel never bring their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    On,
    Off,
}

/// How much fits, and in which colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub color: Color,
    /// Columns of the terminal; `None`: lines are as long as they need to be.
    pub width: Option<usize>,
    /// Rows of a list, where the user did not say how many; `None`: all.
    pub rows: Option<usize>,
}

/// Rows of a list that a person is shown.
pub const ROWS: usize = 20;

impl Page {
    pub const fn terminal(color: Color, width: usize) -> Self {
        Self { color, width: Some(width), rows: Some(ROWS) }
    }

    /// Lists are not cut short if `all`.
    pub fn all_rows(self, all: bool) -> Self {
        Self { rows: self.rows.filter(|_| !all), ..self }
    }

    /// How to get the rest of a list that this page cuts short, or `--top`.
    pub(super) fn how_to_get_all(self) -> &'static str {
        if self.rows.is_some() { "--all-rows, or -o json" } else { "a larger --top" }
    }

    pub(super) fn style(self, style: Style) -> Style {
        match self.color {
            Color::On => style,
            Color::Off => Style::new(),
        }
    }

    /// Writes prose: what is longer than a line goes on in the next one, `indent` columns to the right.
    pub(super) fn line(self, out: &mut impl Write, text: &str, indent: usize) -> io::Result<()> {
        let Some(width) = self.width else { return writeln!(out, "{text}") };
        let body = text.trim_start_matches(' ');
        let mut used = text.len() - body.len();
        write!(out, "{:used$}", "")?;
        // Blanks come with the word that follows them, or go with the end of the line.
        let (mut blanks, mut first) = (0, true);
        for word in body.split(' ') {
            let columns = columns(word);
            if !first && used + blanks + columns > width {
                write!(out, "\n{:indent$}", "")?;
                (used, blanks) = (indent, 0);
            }
            write!(out, "{:blanks$}{word}", "")?;
            used += blanks + columns;
            blanks = 1;
            first = false;
        }
        writeln!(out)
    }
}

impl From<Color> for Page {
    /// A file.
    fn from(color: Color) -> Self {
        Self { color, width: None, rows: None }
    }
}

/// Columns that a text takes, escape sequences left out.
pub(super) fn columns(text: &str) -> usize {
    let mut columns = 0;
    let mut escape = false;
    for c in text.chars() {
        match c {
            '\x1b' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            c => columns += c.width().unwrap_or(0),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: usize, indent: usize) -> String {
        let mut out = Vec::new();
        Page::terminal(Color::Off, width).line(&mut out, text, indent).expect("a Vec takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn prose_goes_on_in_the_next_line() {
        assert_eq!(lines("short", 20, 4), "short\n");
        assert_eq!(lines("  one two three four", 12, 4), "  one two\n    three\n    four\n");
        assert_eq!(lines("averyveryverylongword", 8, 2), "averyveryverylongword\n");
        assert_eq!(lines("\x1b[31mred\x1b[0m word", 8, 2), "\x1b[31mred\x1b[0m word\n");
    }
}
