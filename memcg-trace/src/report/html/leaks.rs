//! The leaked memcgs, each with its evidence.

use super::{
    markup::Markup,
    side::{Side, section as titled},
    table::{Cell, HtmlTable},
};
use crate::{
    report::{
        text::{
            event::{css_freed, done_by, id_held, whose},
            memcg_caches, pinned,
            summary::{SURVIVOR, listed, survivor},
            words::or,
        },
        view::ListedMemcg,
    },
    units::UNKNOWN,
};

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    let some: Vec<&Side<'_>> = sides.iter().filter(|side| !side.view.summary.survivors.is_empty()).collect();
    let Some(first) = some.first() else { return };
    titled(markup, &format!("{}, longest dying first", listed(&first.view.summary)), |markup| {
        some.iter().for_each(|side| table(markup, side));
    });
}

fn table(markup: &mut Markup, side: &Side<'_>) {
    side.heading(markup);
    let survivors = &side.view.summary.survivors;
    let caches = memcg_caches::column(survivors.memcgs());
    let pins = pinned::column(survivors.memcgs()).filter(|_| caches.is_none());
    // Without any container, two columns would be empty.
    let named = survivors.iter().any(|survivor| survivor.container.is_some());
    let shown = |column: &str| named || !["CONTAINER<", "POD<"].contains(&column);
    let columns = SURVIVOR.into_iter().filter(|column| shown(column));
    let table = HtmlTable::new(columns.chain(caches).chain(pins));
    let rows = survivors.iter().map(|listed| {
        let cells = SURVIVOR.into_iter().zip(survivor(&listed)).filter(|(column, _)| shown(column));
        let mut cells: Vec<Cell> = cells.map(|(_, cell)| Cell::from(cell)).collect();
        // Below its path, which is the last of them.
        if let Some(path) = cells.last_mut() {
            path.details = evidence(&listed);
        }
        let more =
            caches.map(|_| memcg_caches::cell(&listed.memcg)).or(pins.map(|_| pinned::cell(&listed.memcg)));
        cells.extend(more.map(Cell::from));
        cells
    });
    table.write(markup, rows, survivors.len() as u64, side.has_all());
}

/// What no column has.
fn evidence(listed: &ListedMemcg<'_>) -> Vec<String> {
    let memcg = &listed.memcg;
    let mut facts = listed.container.as_ref().map(whose).unwrap_or_default();
    facts.extend(id_held(memcg).filter(|_| memcg.id_held == Some(true)));
    facts.extend(css_freed(memcg));
    facts.extend(done_by("created", memcg.creator.as_ref()));
    facts.extend(done_by("removed", memcg.remover.as_ref()));
    let (serial, cgroup_id) = (or(memcg.serial, UNKNOWN), or(memcg.cgroup_id, UNKNOWN));
    facts.push(format!("css {:#x}, serial {serial}, cgroup id {cgroup_id}", memcg.css));
    facts
}
