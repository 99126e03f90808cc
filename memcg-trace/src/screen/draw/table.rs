//! The tabs and the list.

use ratatui::layout::Rect;

use super::{Pen, row};
use crate::{
    report::text::{Elastic, fit, width},
    screen::{Screen, Tab, ink::Ink},
};

/// Between two columns.
const GAP: usize = 2;

/// The part of a list that is in view, cut to the width of the screen.
pub struct TableView {
    /// First column on the screen of each column, and the one behind it.
    pub columns: Vec<(u16, u16)>,
    names: Vec<String>,
    numbers: Vec<bool>,
    rows: Vec<(Ink, Vec<String>)>,
}

/// Titles of the tabs: where each begins and ends.
pub fn tabs(screen: &Screen) -> Vec<(String, u16, u16)> {
    let mut x = screen.areas().tabs.x;
    let tab = |(number, tab): (usize, Tab)| {
        let title = format!(" {} {} ", number, tab.title(screen.scope, &screen.status));
        let from = x;
        x = x.saturating_add(u16::try_from(width(&title)).unwrap_or(u16::MAX));
        (title, from, x)
    };
    (1..).zip(Tab::ALL).map(tab).collect()
}

pub fn draw_tabs(screen: &Screen, pen: &mut Pen<'_, '_>) {
    let area = screen.areas().tabs;
    let texts = tabs(screen)
        .into_iter()
        .zip(Tab::ALL)
        .map(|((title, ..), tab)| (if tab == screen.tab { Ink::Selected } else { Ink::Plain }, title));
    let list = screen.list();
    let filter = (!list.filter.is_empty() && !screen.typing)
        .then(|| (Ink::Warn, format!("  /{}: {} of {}", list.filter, screen.order.len(), screen.rows.len())));
    pen.line(area, texts.chain(filter));
}

/// The rows in view, which take no more columns than there are.
pub fn table(screen: &Screen) -> TableView {
    let (area, list) = (screen.areas().body, screen.list());
    let marked = screen.columns();
    let elastic: Vec<Elastic> = marked.iter().map(|name| Elastic::of(name)).collect();
    let name = |(place, name): (usize, &&str)| {
        let arrow = match (place == list.sort, list.reversed) {
            (false, _) => "",
            (true, false) => "↓",
            (true, true) => "↑",
        };
        format!("{}{arrow}", Elastic::unmarked(name))
    };
    let shown = screen.order.iter().skip(list.offset).take(area.height.into());
    let shown: Vec<_> = shown.filter_map(|place| screen.rows.get(*place)).collect();
    let mut cells = vec![marked.iter().enumerate().map(name).collect::<Vec<String>>()];
    cells.extend(shown.iter().map(|row| row.cells(&screen.status)));
    fit(&elastic, &mut cells, area.width.into(), GAP);
    let mut x = area.x.saturating_add(1);
    let column = |column: usize| {
        let widest = cells.iter().map(|row| width(&row[column])).max().unwrap_or_default();
        let from = x;
        let to = from.saturating_add(u16::try_from(widest).unwrap_or(u16::MAX));
        x = to.saturating_add(GAP as u16);
        (from, to)
    };
    let columns = (0..marked.len()).map(column).collect();
    let mut cells = cells.into_iter();
    let names = cells.next().unwrap_or_default();
    let rows = shown.iter().map(|row| row.ink()).zip(cells).collect();
    TableView { columns, names, numbers: marked.iter().map(|name| name.ends_with('>')).collect(), rows }
}

pub fn draw_table(screen: &Screen, pen: &mut Pen<'_, '_>) {
    let (areas, list) = (screen.areas(), screen.list());
    if screen.order.is_empty() {
        let text = match list.filter.is_empty() {
            true => screen.tab.empty(screen.scope, &screen.status),
            false => "nothing matches the filter (Esc drops it)".to_owned(),
        };
        let texts = super::front::wrap(&text, areas.body.width.saturating_sub(1).into(), 0);
        for (line, text) in texts.into_iter().enumerate() {
            pen.line(row(areas.body, line), [(Ink::Plain, format!(" {text}"))]);
        }
        return;
    }
    let view = table(screen);
    view.draw_row(pen, areas.columns, &view.names, Ink::Heading);
    for (line, (ink, cells)) in view.rows.iter().enumerate() {
        let area = row(areas.body, line);
        view.draw_row(pen, area, cells, *ink);
        if list.offset + line == list.selected {
            pen.paint(area, Ink::Selected);
        }
    }
}

impl TableView {
    fn draw_row(&self, pen: &mut Pen<'_, '_>, area: Rect, cells: &[String], ink: Ink) {
        for ((cell, (from, to)), number) in cells.iter().zip(&self.columns).zip(&self.numbers) {
            let used = u16::try_from(width(cell)).unwrap_or(u16::MAX);
            let blank = if *number { (to - from).saturating_sub(used) } else { 0 };
            let x = from.saturating_add(blank);
            let room = area.right().saturating_sub(x);
            pen.line(Rect { x, width: room, ..area }, [(ink, cell.clone())]);
        }
    }
}
