//! Draws the screen. Pure: the same state gives the same cells.

mod front;
mod header;
mod table;

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

pub use table::{table, tabs};

use super::{Over, Screen, ink::Ink, keys::footer};

/// Smaller than this, nothing can be told.
const WIDTH_MIN: u16 = 20;
const HEIGHT_MIN: u16 = 4;

/// Draws the whole screen; `color`: whether there are colours.
pub fn draw(screen: &Screen, frame: &mut Frame<'_>, color: bool) {
    let mut pen = Pen { frame, color };
    let size = screen.size;
    if size.width < WIDTH_MIN || size.height < HEIGHT_MIN {
        return pen.line(size, [(Ink::Plain, "too small".to_owned())]);
    }
    header::header(screen, &mut pen);
    table::draw_tabs(screen, &mut pen);
    match screen.over {
        Over::Nothing => table::draw_table(screen, &mut pen),
        Over::Help(_) | Over::Detail(_) => front::draw_front(screen, &mut pen),
    }
    draw_foot(screen, &mut pen);
}

/// The filter while it is written, else what was just done, else the keys.
fn draw_foot(screen: &Screen, pen: &mut Pen<'_, '_>) {
    let area = screen.areas().foot;
    if screen.typing {
        let filter = format!("/{}", screen.list().filter);
        return pen.line(
            area,
            [
                (Ink::Heading, filter),
                (Ink::Plain, "▏".to_owned()),
                (Ink::Dim, "  Enter keeps it, Esc drops it".to_owned()),
            ],
        );
    }
    if let Some(message) = &screen.message {
        return pen.line(area, [(Ink::Warn, message.clone())]);
    }
    let keys = footer(screen).into_iter();
    let spans =
        keys.flat_map(|(key, does)| [(Ink::Heading, key.to_owned()), (Ink::Plain, format!(" {does}  "))]);
    pen.line(area, spans);
}

/// A frame, and whether it has colours.
pub(super) struct Pen<'f, 'b> {
    frame: &'f mut Frame<'b>,
    color: bool,
}

impl Pen<'_, '_> {
    /// Writes texts one after the other into the first line of an area; what does not fit is cut.
    fn line(&mut self, area: Rect, texts: impl IntoIterator<Item = (Ink, String)>) {
        let spans = texts.into_iter().map(|(ink, text)| Span::styled(text, ink.style(self.color)));
        self.write(area, &spans.collect());
    }

    fn write(&mut self, area: Rect, line: &Line<'_>) {
        if !area.is_empty() {
            self.frame.buffer_mut().set_line(area.x, area.y, line, area.width);
        }
    }

    /// Paints what is written there already.
    fn paint(&mut self, area: Rect, ink: Ink) {
        let style: Style = ink.style(self.color);
        self.frame.buffer_mut().set_style(area, style);
    }
}

/// A line of an area, counted from its top.
fn row(area: Rect, line: usize) -> Rect {
    let line = u16::try_from(line).unwrap_or(u16::MAX);
    Rect { y: area.y.saturating_add(line), height: u16::from(line < area.height), ..area }
}
