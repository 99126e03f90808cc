//! Tables: the first rows are shown, more are folded away, and what is left out is told.

use super::markup::Markup;
use crate::units::Count;

/// Rows that are shown of the lists that a report is about, and of those that sum them up.
const ROWS: usize = 50;
const FEW: usize = 10;
/// Rows that there are at most.
const ROWS_MAX: usize = 500;

/// A cell: what it says, and what more is to be said below it.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    pub details: Vec<String>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, details: Vec::new() }
    }
}

/// How to align a column is behind its name, as in text: `>` numbers, `~` paths, `<` text.
pub struct HtmlTable<'a> {
    names: Vec<&'a str>,
    shown: usize,
}

impl<'a> HtmlTable<'a> {
    pub fn new(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { names: names.into_iter().collect(), shown: ROWS }
    }

    /// Fewer rows are shown at once.
    pub fn few(self) -> Self {
        Self { shown: FEW, ..self }
    }

    /// `all`: how many rows there are, and `how` to get those that are left out.
    pub fn write(&self, markup: &mut Markup, rows: impl Iterator<Item = Vec<Cell>>, all: u64, how: &str) {
        let rows: Vec<Vec<Cell>> = rows.take(ROWS_MAX).collect();
        let (shown, folded) = rows.split_at(rows.len().min(self.shown));
        self.rows(markup, shown);
        if !folded.is_empty() {
            markup.element("details", &[], |markup| {
                markup.leaf("summary", &[], format!("{} more", Count(folded.len() as u64)));
                self.rows(markup, folded);
            });
        }
        if let more @ 1.. = all.saturating_sub(rows.len() as u64) {
            markup.leaf("p", &[("class", "note")], format!("and {} more ({how})", Count(more)));
        }
        markup.line();
    }

    fn rows(&self, markup: &mut Markup, rows: &[Vec<Cell>]) {
        markup.element("table", &[], |markup| {
            markup.element("thead", &[], |markup| {
                markup.element("tr", &[], |markup| {
                    for column in &self.names {
                        markup.leaf("th", &[("scope", "col"), ("class", class(column))], name(column));
                    }
                });
            });
            markup.element("tbody", &[], |markup| rows.iter().for_each(|row| self.row(markup, row)));
        });
    }

    /// The name of the column is in each cell, for screens too narrow for a table.
    fn row(&self, markup: &mut Markup, row: &[Cell]) {
        markup.element("tr", &[], |markup| {
            for (column, Cell { text, details }) in self.names.iter().zip(row) {
                let attributes = [("class", class(column)), ("data-l", name(column))];
                markup.element("td", &attributes, |markup| {
                    markup.text(text);
                    if !details.is_empty() {
                        markup.leaf("small", &[], details.join(" | "));
                    }
                });
            }
        });
        markup.line();
    }
}

fn name(column: &str) -> &str {
    column.trim_end_matches(['>', '~', '<'])
}

/// Short, and so is `data-l`, the label: there are thousands of cells.
fn class(column: &str) -> &'static str {
    match column.chars().last() {
        Some('>') => "n",
        Some('~') => "p",
        _ => "w",
    }
}
