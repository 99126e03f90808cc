//! One frame as text, where there is no terminal.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::Arc,
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::{Buffer, Cell},
    style::{Color as CellColor, Modifier},
};

use super::FrameSize;
use crate::{
    report::text::{Color, width},
    screen::{Screen, Status, Tab, draw},
    streams::Stdout,
};

/// Writes it to standard output.
pub fn print(status: Status, tab: Tab, size: FrameSize, color: Color) -> io::Result<()> {
    let mut screen = Screen::new(size.rect(), Arc::new(status));
    screen.turn_to(tab);
    // Draws into memory, which never fails.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(size.columns, size.lines));
    let Ok(frame) = terminal.draw(|frame| draw(&screen, frame, color == Color::On));
    Stdout::new().write_all(text(frame.buffer, color).as_bytes())
}

/// Lines without blanks at their ends; with colours, styles as escape sequences.
fn text(buffer: &Buffer, color: Color) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let lines = buffer.content().chunks(columns).map(|cells| line(cells, color));
    let text = lines.map(|line| line + "\n").collect::<String>();
    text.trim_end_matches('\n').to_owned() + "\n"
}

fn line(cells: &[Cell], color: Color) -> String {
    let last = cells.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
    let mut line = String::new();
    let mut now = String::new();
    // Behind a wide character there is a cell that is not shown.
    let mut hidden = 0;
    for cell in &cells[..last] {
        if hidden > 0 {
            hidden -= 1;
            continue;
        }
        hidden = width(cell.symbol()).saturating_sub(1);
        let style = if color == Color::On { escape(cell) } else { String::new() };
        if style != now {
            line.push_str(if now.is_empty() { "" } else { "\x1b[0m" });
            line.push_str(&style);
            now = style;
        }
        line.push_str(cell.symbol());
    }
    if !now.is_empty() {
        line.push_str("\x1b[0m");
    }
    line
}

/// Select Graphic Rendition (ECMA-48); empty: as it is.
fn escape(cell: &Cell) -> String {
    let mut escape = String::new();
    let modifiers = [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)];
    let modifiers = modifiers.into_iter().filter(|(modifier, _)| cell.modifier.contains(*modifier));
    let color = match cell.fg {
        CellColor::Red => Some(31),
        CellColor::Green => Some(32),
        CellColor::Yellow => Some(33),
        CellColor::Cyan => Some(36),
        _ => None,
    };
    for code in modifiers.map(|(_, code)| code).chain(color) {
        // To a String, which takes all.
        let _ = write!(escape, "\x1b[{code}m");
    }
    escape
}
