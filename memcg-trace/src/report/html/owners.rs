//! Whose memcgs stay.

use std::cmp::Reverse;

use super::{
    markup::Markup,
    plot::{Bar, bars, figure},
    side::{Side, grid, section as titled},
    table::{Cell, HtmlTable},
};
use crate::{
    report::{
        text::{
            pinned,
            summary::{GROUP, OWNERS, ROLLED, counted, group, listed, rolled},
            table::owner_name,
            words::many,
        },
        view::{Common, Group, Rolled},
    },
    units::{Count, Size},
};

/// Bars of a plot; the table has all.
const BARS: usize = 10;

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "Whose they are", |markup| {
        grid(markup, |markup| {
            for plot in [survival, charged] {
                sides.iter().for_each(|side| plot(markup, side));
            }
        });
        sides.iter().for_each(|side| tables(markup, side));
    });
}

/// Of what each workload created, the part that still exists though it is dying.
fn survival(markup: &mut Markup, side: &Side<'_>) {
    let rolled = side.view.summary.rolled.iter().filter(|group| group.survived > 0);
    let value = |group: &Rolled| format!("{} of {}", Count(group.survived), Count(group.created));
    let mut all: Vec<Bar> = rolled
        .map(|group| Bar {
            name: owner_name(&group.of),
            share: group.survival.unwrap_or(0.0),
            value: format!("{}, {:.0} %", value(group), group.survival.unwrap_or(0.0) * 100.0),
        })
        .collect();
    let Some(first) = all.first() else {
        return side
            .absent(markup, "no workload has a memcg that was created since the start and is still dying");
    };
    let finding = format!("{}: {} still dying", first.name, first.value);
    let note = note(&mut all, "workloads");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "vermillion", &all));
}

/// What the dying memcgs of each workload are charged for.
fn charged(markup: &mut Markup, side: &Side<'_>) {
    let mut groups: Vec<(&Rolled, u64)> = side
        .view
        .summary
        .rolled
        .iter()
        .filter_map(|group| Some((group, group.charged_bytes.filter(|bytes| *bytes > 0)?)))
        .collect();
    groups.sort_by_key(|(_, bytes)| Reverse(*bytes));
    let all: u64 = groups.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
    let bar = |(group, bytes): &(&Rolled, u64)| Bar {
        name: owner_name(&group.of),
        share: *bytes as f64 / all as f64,
        value: format!("{} in {}", Size { bytes: *bytes }, many(group.dying, "memcg")),
    };
    let mut bars_of_it: Vec<Bar> = groups.iter().map(bar).collect();
    let Some(first) = bars_of_it.first() else {
        return side.absent(markup, "no dying memcg of a workload is known to be charged for anything");
    };
    let finding = format!("{}: {} are charged", first.name, first.value);
    let note = note(&mut bars_of_it, "workloads");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "green", &bars_of_it));
}

/// Leaves as many bars as a plot has, and says so.
pub fn note(all: &mut Vec<Bar>, of: &str) -> String {
    let more = all.len().saturating_sub(BARS);
    all.truncate(BARS);
    match more {
        0 => String::new(),
        more => format!("The first {BARS} {of}; the table has {} more.", Count(more as u64)),
    }
}

fn tables(markup: &mut Markup, side: &Side<'_>) {
    let summary = &side.view.summary;
    if !summary.rolled.is_empty() {
        side.heading(markup);
        side.list(markup, OWNERS);
        let table = HtmlTable::new(name_first(ROLLED).into_iter().chain(["PINNED BY<"])).few();
        let rows = summary.rolled.iter().map(|group| {
            let cells = name_first(rolled(group)).into_iter().chain([pinned::group_cell(&group.pins)]);
            cells.map(Cell::from).collect()
        });
        table.write(markup, rows, summary.rolled.len() as u64, side.has_all());
    }
    let what = listed(summary);
    // Where each container has one, the list of them says the same.
    let several = |group: &Group<'_>| group.leaked > 1 && !matches!(group.of, Common::Container(None));
    if summary.leaked_by_container.iter().any(several) {
        groups(markup, side, what, ("by container", "CONTAINER~"), &summary.leaked_by_container);
    }
    if !summary.leaked_by_parent.is_empty() {
        groups(markup, side, what, ("by parent", "PARENT~"), &summary.leaked_by_parent);
    }
}

fn groups(markup: &mut Markup, side: &Side<'_>, what: &str, (by, name): (&str, &str), groups: &[Group<'_>]) {
    side.list(markup, &format!("{what}, {by}"));
    let table = HtmlTable::new([name, counted(what)].into_iter().chain(GROUP)).few();
    let rows = groups.iter().map(|of| name_first(group(of)).map(Cell::from).to_vec());
    table.write(markup, rows, groups.len() as u64, side.has_all());
}

/// In text the name is last, as it may be long; here it is what a row, or a card on a telephone, begins with.
fn name_first<T, const N: usize>(mut cells: [T; N]) -> [T; N] {
    cells.rotate_right(1);
    cells
}
