//! Tables and common cells.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{
    Color, HEADING,
    words::{name_of, or, pod},
};
use crate::{
    attribution::{Container, Owner, Part, Workload},
    report::view::{Common, state_name},
    units::{Count, Size, Time, UNKNOWN},
};

/// Names of container and pod, or placeholders.
pub fn owner(container: Option<&Container>) -> (String, String) {
    let title = container.and_then(|container| container.title());
    let pod = container.and_then(|container| container.pod_title());
    (or(title.map(name_of), "-"), or(pod.map(name_of), "-"))
}

/// The name of a group of memcgs.
pub fn common(of: &Common<'_>) -> String {
    match of {
        Common::ParentPath(path) => or(path.as_ref(), UNKNOWN),
        Common::Container(None) | Common::PodUid(None) => "not in the path".to_owned(),
        Common::Container(Some(container)) => {
            let Container { id, name, image, .. } = container;
            let text = |name: &String| name_of(name).to_string();
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

pub fn size(bytes: Option<u64>) -> String {
    or(bytes.map(|bytes| Size { bytes }), UNKNOWN)
}

pub fn heading(out: &mut impl Write, text: &str, color: Color) -> io::Result<()> {
    let style = color.style(HEADING);
    writeln!(out, "\n{style}{text}{style:#}")
}

/// A table without rulings, with columns as wide as needed.
pub struct Columns {
    table: Table,
    rows: u64,
}

impl Columns {
    /// `>` after a name: right-aligned.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str, IntoIter: Clone>) -> Self {
        let names = names.into_iter();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(names.clone().map(|name| name.trim_end_matches('>')));
        for (column, name) in table.column_iter_mut().zip(names) {
            column.set_padding((2, 0));
            if name.ends_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, rows: 0 }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells);
        self.rows += 1;
    }

    /// `all`: total number of rows; `how`: how to get them.
    pub fn print(&self, out: &mut impl Write, all: u64, how: &str) -> io::Result<()> {
        writeln!(out, "{}", self.table.trim_fmt())?;
        match all.saturating_sub(self.rows) {
            0 => Ok(()),
            more => writeln!(out, "  and {} more ({how})", Count(more)),
        }
    }
}
