//! What a text on the screen is, and how that looks: in the 16 colours of the terminal, on whatever background it has.

use ratatui::style::{Color, Modifier, Style};

/// What a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    #[default]
    Plain,
    Bad,
    Warn,
    Good,
    /// Beside the point.
    Dim,
    Heading,
    /// Of births, for one.
    Note,
    /// Selected.
    Selected,
}

/// A line, and what it is.
pub type InkedLine = (Ink, String);

impl Ink {
    /// Without colours (NO_COLOR), weight and inversion tell the same.
    pub fn style(self, color: bool) -> Style {
        let colored = |style: Style, of: Color| if color { style.fg(of) } else { style };
        let plain = Style::new();
        match self {
            Self::Plain => plain,
            Self::Bad => colored(plain.add_modifier(Modifier::BOLD), Color::Red),
            Self::Warn => colored(plain, Color::Yellow),
            Self::Good => colored(plain, Color::Green),
            Self::Dim => plain.add_modifier(Modifier::DIM),
            Self::Heading => plain.add_modifier(Modifier::BOLD),
            Self::Note => colored(plain, Color::Cyan),
            Self::Selected => plain.add_modifier(Modifier::REVERSED),
        }
    }
}
