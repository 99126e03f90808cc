//! Where things are on the screen.

use ratatui::layout::{Constraint, Layout, Rect};

/// Parts from top to bottom; what there is no room for is empty.
#[derive(Clone, Copy, Debug)]
pub struct Areas {
    pub title: Rect,
    pub ids: Rect,
    pub counts: Rect,
    pub verdict: Rect,
    /// Births, deaths and zombies over time.
    pub plots: [Rect; 3],
    pub tabs: Rect,
    pub columns: Rect,
    pub body: Rect,
    pub foot: Rect,
}

impl Areas {
    pub fn of(size: Rect) -> Self {
        let (header, plots) = match size.height {
            0..10 => (0, 0),
            10..16 => (1, 0),
            16..30 => (1, 2),
            30..60 => (1, 3),
            _ => (1, 5),
        };
        let lines = [1, header, header, header, plots, 1, 1].map(Constraint::Length);
        let [title, ids, counts, verdict, plots, tabs, columns, body, foot] =
            Layout::vertical(lines.into_iter().chain([Constraint::Fill(1), Constraint::Length(1)]))
                .areas(size);
        let plots = Layout::horizontal([Constraint::Ratio(1, 3); 3]).spacing(2).areas(plots);
        Self { title, ids, counts, verdict, plots, tabs, columns, body, foot }
    }
}
