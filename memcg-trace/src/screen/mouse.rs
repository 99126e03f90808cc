//! What the mouse does.

use ratatui::{
    crossterm::event::{MouseButton, MouseEvent, MouseEventKind},
    layout::Position,
};

use super::{Action, Over, Screen, Tab, draw};

/// Lines that one notch of the wheel scrolls.
const NOTCH: usize = 3;

impl Screen {
    /// A click on a tab, a column or a row; one more on the row that is selected opens it. The wheel scrolls.
    pub fn mouse(&mut self, mouse: MouseEvent) -> Option<Action> {
        let at = Position::new(mouse.column, mouse.row);
        match (mouse.kind, &self.over) {
            (MouseEventKind::ScrollUp, Over::Nothing) => self.select(|at| at.saturating_sub(NOTCH)),
            (MouseEventKind::ScrollDown, Over::Nothing) => self.select(|at| at + NOTCH),
            (MouseEventKind::ScrollUp, _) => self.scroll(|at| at.saturating_sub(NOTCH)),
            (MouseEventKind::ScrollDown, _) => self.scroll(|at| at + NOTCH),
            (MouseEventKind::Down(MouseButton::Left), Over::Nothing) => return self.click(at),
            (MouseEventKind::Down(MouseButton::Left), _) if self.areas().tabs.contains(at) => {
                self.over = Over::Nothing;
                return self.click(at);
            }
            _ => {}
        }
        None
    }

    fn click(&mut self, at: Position) -> Option<Action> {
        let areas = self.areas();
        if areas.tabs.contains(at) {
            let tabs = draw::tabs(self);
            if let Some(tab) = tabs.iter().position(|(_, from, to)| (*from..*to).contains(&at.x)) {
                self.turn_to(Tab::ALL[tab]);
            }
        } else if areas.columns.contains(at) {
            let columns = draw::table(self).columns;
            if let Some(column) = columns.iter().position(|(from, to)| (*from..*to).contains(&at.x)) {
                match self.list().sort == column {
                    true => {
                        self.list_mut().reversed ^= true;
                        self.fill();
                    }
                    false => self.sort_by(column),
                }
            }
        } else if areas.body.contains(at) {
            let row = self.list().offset + usize::from(at.y - areas.body.y);
            match row == self.list().selected {
                true => return self.open(),
                false if row < self.order.len() => self.select(|_| row),
                false => {}
            }
        }
        None
    }
}
