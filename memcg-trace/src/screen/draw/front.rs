//! What is in front of the list: one memcg, or the help.

use ratatui::layout::Rect;

use super::{Pen, row};
use crate::{
    report::text::width,
    screen::{
        Over, Screen,
        ink::{Ink, InkedLine},
    },
};

/// Where a line goes on that is too long.
const INDENT: usize = 13;

const HELP: &[(&str, &str)] = &[
    ("Lists", ""),
    (
        "1 – 5, Tab",
        "leaked memcgs, workloads, what pins them, slab caches, events; a click on a tab does the same",
    ),
    ("↑ ↓ j k", "select; PgUp, PgDn, Home, End and the wheel, too"),
    (
        "Enter",
        "open the memcg: its life, its container and what pins it; of a workload or a pin: list its memcgs",
    ),
    (
        "s ← →",
        "sort by the next column, by the one to the left or right; r the other way round; a click on a column does it, too",
    ),
    ("/", "filter: only lines with this text; Enter keeps it, Esc drops it"),
    ("a", "leaked memcgs alone, or all that are dying"),
    ("b", "pins by kind, by file, by who holds them"),
    ("", ""),
    ("A memcg", ""),
    (
        "1 – 9",
        "copy the command that frees these references, as numbered (OSC 52, where the terminal allows that)",
    ),
    ("y", "copy the command that names every reference and what frees it: memcg-trace explain"),
    ("e", "look again at what refers to it"),
    ("Esc", "back to the list"),
    ("", ""),
    ("Time", ""),
    ("Space", "pause: the run goes on and is caught up with; in a replay: play, stop"),
    (
        "w",
        "record the run from now on to a file in this directory, for memcg-trace replay and top --replay; w again ends it",
    ),
    ("t T", "replay: a second forward, back"),
    (". ,", "replay: to the next event, the one before"),
    ("> <", "replay: a tenth of the recording forward, back; ] [ to its end, its start"),
    ("+ -", "replay: ×1, ×10, ×100"),
    ("", ""),
    ("Ctrl-L", "draw anew; Ctrl-Z stop, fg goes on; q or Ctrl-C leave"),
    ("", ""),
    ("Words", ""),
    ("dying", "removed and offline, but something still refers to it: a zombie"),
    ("leaked", "dying for longer than the grace time (--grace)"),
    ("STAY", "of the memcgs of a workload that went offline since the start, how many are still there"),
    (
        "PINNED BY",
        "as of when it was about to count as leaked: references, kind, the largest thing, who holds it",
    ),
    ("conclusive", "no event was lost or missed, or a walk of the kernel has reconciled it since"),
];

impl Screen {
    /// Where it is.
    pub(in crate::screen) fn front(&self) -> Rect {
        let areas = self.areas();
        areas.columns.union(areas.body)
    }

    /// All of it, cut into lines that fit.
    pub(in crate::screen) fn lines_in_front(&self) -> Vec<InkedLine> {
        let lines = match &self.over {
            Over::Nothing => Vec::new(),
            Over::Help(_) => HELP.iter().map(|(key, does)| help(key, does)).collect(),
            Over::Detail(detail) => detail.lines(&self.status),
        };
        let room = usize::from(self.front().width).saturating_sub(2);
        let cut = |(ink, text): InkedLine| wrap(&text, room, INDENT).into_iter().map(move |line| (ink, line));
        lines.into_iter().flat_map(cut).collect()
    }
}

fn help(key: &str, does: &str) -> InkedLine {
    match does {
        "" => (Ink::Heading, key.to_owned()),
        does => (Ink::Plain, format!("{key:<11}  {does}")),
    }
}

pub fn draw_front(screen: &Screen, pen: &mut Pen<'_, '_>) {
    let area = screen.front();
    let scroll = match &screen.over {
        Over::Nothing => return,
        Over::Help(scroll) => *scroll,
        Over::Detail(detail) => detail.scroll,
    };
    let lines = screen.lines_in_front().into_iter().skip(scroll).take(area.height.into());
    for (line, (ink, text)) in lines.enumerate() {
        pen.line(row(area, line), [(ink, format!(" {text}"))]);
    }
}

/// Lines of at most `width` columns, cut between words where there are any; all but the first are indented.
pub fn wrap(text: &str, width_max: usize, indent: usize) -> Vec<String> {
    let indent = if width_max > 2 * indent { indent } else { 0 };
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used + width(word.trim_end()) > width_max
            && used > indent
            && indent + width(word.trim_end()) <= width_max
        {
            lines.push(" ".repeat(indent));
            used = indent;
        }
        // A word that no line has room for, as a path, goes on wherever it is cut.
        for c in word.chars() {
            let of = width(c.encode_utf8(&mut [0; 4]));
            if used + of > width_max.max(1) && c != ' ' {
                lines.push(" ".repeat(indent));
                used = indent;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += of;
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on() {
        let table: [(&str, usize, usize, &[&str]); 6] = [
            ("", 10, 2, &[""]),
            ("one two", 10, 2, &["one two"]),
            ("one two three", 8, 2, &["one two", "  three"]),
            ("/a/very/long/path", 8, 2, &["/a/very/", "  long/p", "  ath"]),
            ("日本語日本語", 7, 0, &["日本語", "日本語"]),
            ("x /a/very/long/path", 10, 2, &["x /a/very/", "  long/pat", "  h"]),
        ];
        for (text, width_max, indent, expected) in table {
            assert_eq!(wrap(text, width_max, indent), expected, "{text}");
        }
    }
}
