//! Whose memcgs stay.

use super::{
    leaks::IN_REPLAY,
    markup::Markup,
    plot::{Bar, bars, figure},
    side::{Side, grid, section as titled},
    table::{Cell, Columns},
};
use crate::{
    report::{
        text::{
            pinned,
            summary::{GROUP, OWNERS, ROLLED, counted, group, listed, rolled},
            table::owner_name,
        },
        view::{Common, Group, Rolled},
    },
    units::Count,
};

/// Bars of a plot; the table has all.
const BARS: usize = 10;

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "Whose they are", |markup| {
        grid(markup, |markup| sides.iter().for_each(|side| survival(markup, side)));
        sides.iter().for_each(|side| tables(markup, side));
    });
}

/// Of what each workload created, the part that still exists though it is dying.
fn survival(markup: &mut Markup, side: &Side<'_>) {
    let rolled = side.view.summary.rolled.iter().filter(|group| group.survived > 0);
    let value = |group: &Rolled| format!("{} of {} still dying", Count(group.survived), Count(group.created));
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
    let finding = format!("{}: {}", first.name, first.value);
    let note = note(&mut all, "workloads");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "vermillion", &all));
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
        markup.leaf("h4", &[], OWNERS);
        let columns = Columns::new(ROLLED.into_iter().chain(["PINNED BY<"]));
        let rows = summary.rolled.iter().map(|group| {
            rolled(group).into_iter().chain([pinned::group_cell(&group.pins)]).map(Cell::from).collect()
        });
        columns.table(markup, rows, summary.rolled.len() as u64, IN_REPLAY);
    }
    let what = listed(summary);
    let some = |group: &Group<'_>| !matches!(group.of, Common::Container(None));
    if summary.leaked_by_container.iter().any(some) {
        groups(markup, what, ("by container", "CONTAINER~"), &summary.leaked_by_container);
    }
    if !summary.leaked_by_parent.is_empty() {
        groups(markup, what, ("by parent", "PARENT~"), &summary.leaked_by_parent);
    }
}

fn groups(markup: &mut Markup, what: &str, (by, name): (&str, &str), groups: &[Group<'_>]) {
    markup.leaf("h4", &[], format!("{what}, {by}"));
    let columns = Columns::new([counted(what)].into_iter().chain(GROUP).chain([name]));
    let rows = groups.iter().map(|of| group(of).into_iter().map(Cell::from).collect());
    columns.table(markup, rows, groups.len() as u64, IN_REPLAY);
}
