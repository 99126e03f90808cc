//! The leaked memcgs, each with its evidence.

use super::{
    markup::Markup,
    side::{Side, section as titled},
    table::{Cell, Columns},
};
use crate::report::text::{
    event::evidence,
    memcg_caches, pinned,
    summary::{SURVIVOR, listed, survivor},
};

/// How to get what a table leaves out.
pub const IN_REPLAY: &str = "memcg-trace replay -o json has all";

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
    let caches = memcg_caches::column(survivors.iter().map(|survivor| &survivor.memcg));
    let pins = pinned::column(survivors.iter().map(|survivor| &survivor.memcg)).filter(|_| caches.is_none());
    let columns = Columns::new(SURVIVOR.into_iter().chain(caches).chain(pins));
    let rows = survivors.iter().map(|listed| {
        let mut cells: Vec<Cell> = survivor(listed).map(Cell::from).to_vec();
        // Below its path, which is the last of them.
        if let Some(path) = cells.last_mut() {
            path.details = evidence(listed.container.as_ref(), &listed.memcg);
        }
        let more =
            caches.map(|_| memcg_caches::cell(&listed.memcg)).or(pins.map(|_| pinned::cell(&listed.memcg)));
        cells.extend(more.map(Cell::from));
        cells
    });
    columns.table(markup, rows, survivors.len() as u64, IN_REPLAY);
}
