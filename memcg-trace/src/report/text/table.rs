//! Tables and common cells.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr as _;

use super::{
    HEADING, Page,
    fit::{Elastic, fit},
    words::{name_of, or, pod},
};
use crate::{
    attribution::{Container, Owner, Part, Workload},
    report::view::{Common, MemcgView, state_name},
    units::{Count, Size, Time, UNKNOWN},
};

/// Names of container and pod, or placeholders.
pub fn owner(container: Option<&Container>) -> (String, String) {
    let title = container.and_then(|container| container.title());
    let pod = container.and_then(|container| container.pod_title());
    (or(title.as_deref().map(name_of), "-"), or(pod.map(name_of), "-"))
}

/// The name of a group of memcgs.
pub fn common(of: &Common<'_>) -> String {
    match of {
        Common::ParentPath(path) => or(path.as_ref(), UNKNOWN),
        Common::Container(None) | Common::PodUid(None) => "not in the path".to_owned(),
        Common::Container(Some(container)) => {
            let Container { id, of_id, name, image, .. } = &**container;
            let text = |name: &String| name_of(name).to_string();
            if container.is_beside() {
                let title = container.title().map(|title| name_of(&title).to_string());
                let of_id = of_id.as_ref().filter(|_| name.is_some() && name != of_id).map(text);
                let runtime = container.runtime.map(|runtime| format!("({runtime})"));
                let parts = [pod(container), title, of_id, runtime];
                return parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
            }
            let name = name.as_ref().filter(|_| name != id).map(text);
            let image = image.as_ref().map(|image| format!("({})", name_of(image)));
            let parts = [pod(container), name, id.as_ref().map(text), image];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Common::State(state) => state_name(*state).to_owned(),
        Common::PodUid(Some(uid)) => name_of(uid).to_string(),
        Common::Owner(owner) => owner_name(owner),
    }
}

/// The owner of a group of memcgs.
pub fn owner_name(owner: &Owner) -> String {
    match owner {
        Owner::Workload(Workload { name, part }) => {
            let name = or(name.as_deref().map(name_of), "unknown");
            match part {
                None => "no container or unit".to_owned(),
                Some(Part::Container | Part::Unit) => name,
                Some(Part::Pod) => format!("{name}, the pods' own"),
                Some(Part::Sandbox) => format!("{name}, sandboxes"),
                Some(Part::Monitor) => format!("{name}, monitors"),
                Some(Part::Overhead) => format!("{name}, overhead of sandboxes"),
            }
        }
        Owner::Namespace(name) | Owner::Image(name) | Owner::Unit(name) => {
            or(name.as_deref().map(name_of), "unknown")
        }
        Owner::Runtime(runtime) => or(*runtime, "unknown"),
    }
}

pub fn time(ns: Option<u64>) -> String {
    or(ns.map(|ns| Time { ns }), UNKNOWN)
}

/// What a memcg's counter says; where that is more than it can hold by its references, that, too.
pub fn charged(memcg: &MemcgView<'_>) -> String {
    size_and_held(memcg.charged_bytes, memcg.held_bytes_max)
}

/// What counters of dying memcgs say; where that is more than they can hold, that, too.
pub fn size_and_held(charged_bytes: Option<u64>, held_bytes_max: Option<u64>) -> String {
    let held = held_bytes_max.filter(|held| charged_bytes.is_some_and(|charged| *held < charged));
    let (charged, held) = (size(charged_bytes), held.map(|bytes| Size { bytes }.to_string()));
    match held.filter(|held| *held != charged) {
        Some(held) => format!("{charged}, holds ≤ {held}"),
        None => charged,
    }
}

pub fn size(bytes: Option<u64>) -> String {
    or(bytes.map(|bytes| Size { bytes }), UNKNOWN)
}

pub fn heading(out: &mut impl Write, text: &str, page: Page) -> io::Result<()> {
    let style = page.style(HEADING);
    writeln!(out, "\n{style}{text}{style:#}")
}

/// Columns without lines between them, as wide as they need to be and the page allows.
pub struct Columns {
    /// The names of the columns first.
    rows: Vec<Vec<String>>,
    numbers: Vec<bool>,
    elastic: Vec<Elastic>,
}

/// Between two columns.
const GAP: usize = 2;
/// Rows that are laid out at a time: while that is done, a row takes ten times the room of its cells.
const CHUNK: usize = 1000;

impl Columns {
    /// Behind a name: `>` a column of numbers, `~` paths, which are cut in their middle where the line is too short, `<` text,
    /// whose end is cut.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut columns = Self { rows: Vec::new(), numbers: Vec::new(), elastic: Vec::new() };
        let mut header = Vec::new();
        for name in names {
            columns.numbers.push(name.ends_with('>'));
            columns.elastic.push(Elastic::of(name));
            header.push(Elastic::unmarked(name).to_owned());
        }
        columns.rows.push(header);
        columns
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// `all`: how many rows there would be, and `how` to get them.
    pub fn print(mut self, out: &mut impl Write, page: Page, all: u64, how: &str) -> io::Result<()> {
        if let Some(width) = page.width {
            self.leave_out_empty_columns();
            fit(&self.elastic, &mut self.rows, width, GAP);
        }
        let shown = self.rows.len() as u64 - 1;
        let widths: Vec<u16> = (0..self.numbers.len()).map(|column| self.width(column)).collect();
        let mut rows = self.rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            table.set_content_arrangement(ContentArrangement::Disabled);
            table.add_rows(rows.by_ref().take(CHUNK));
            for (index, column) in table.column_iter_mut().enumerate() {
                column.set_padding((GAP as u16, 0));
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(widths[index])));
                if self.numbers[index] {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))?;
        }
        match all.saturating_sub(shown) {
            0 => Ok(()),
            more => writeln!(out, "  and {} more ({how})", Count(more)),
        }
    }

    /// Those that have nothing for any row: a terminal has better use for the room.
    fn leave_out_empty_columns(&mut self) {
        for column in (0..self.numbers.len()).rev() {
            let mut cells = self.rows.iter().skip(1).map(|row| &row[column]);
            if self.rows.len() > 1 && cells.all(|cell| cell == "-") {
                self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
                self.numbers.remove(column);
                self.elastic.remove(column);
            }
        }
    }

    /// Of the widest cell, and the gap before it.
    fn width(&self, column: usize) -> u16 {
        let widest = self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        u16::try_from(widest + GAP).unwrap_or(u16::MAX)
    }
}
