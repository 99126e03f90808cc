//! What changed from one run to the other.

use super::{
    markup::Markup,
    side::{Side, section as titled},
    table::{Cell, Columns},
};
use crate::{
    report::{
        text::{summary::lost, table::size, verdict::Deaths, words::or},
        view::ReportView,
    },
    units::{Count, Time, UNKNOWN},
};

/// One row: a name, and what it is in each run.
type Row = (&'static str, fn(&ReportView<'_>) -> String);

const ROWS: &[Row] = &[
    ("kernel", |view| view.kernel.to_owned()),
    ("watched for", |view| Time { ns: view.summary.duration_ns }.to_string()),
    ("grace time", |view| Time { ns: view.summary.grace_ns }.to_string()),
    ("created", |view| Count(view.summary.created).to_string()),
    ("offline", |view| Count(view.timeline.sum(|moment| moment.died)).to_string()),
    ("freed", |view| Count(view.summary.freed).to_string()),
    ("late", |view| Count(view.summary.late).to_string()),
    ("dying at the end", |view| Count(view.summary.dying).to_string()),
    ("leaked", |view| Count(Deaths::of(&view.summary).leaked).to_string()),
    ("of those offline", |view| {
        let (leaked, died) = (Deaths::of(&view.summary).leaked, view.timeline.sum(|moment| moment.died));
        if died == 0 { UNKNOWN.to_owned() } else { format!("{:.1} %", 100.0 * leaked as f64 / died as f64) }
    }),
    ("before start", |view| Count(view.summary.dying_before_start).to_string()),
    ("memcg IDs in use", |view| or(view.summary.ids_used.map(Count), UNKNOWN)),
    ("held by dying memcgs", |view| or(view.summary.ids_held_by_dying.map(Count), UNKNOWN)),
    ("all IDs used in", |view| or(view.summary.ids_exhausted_in_ns.map(|ns| Time { ns }), "no trend")),
    ("charged to dying memcgs", |view| {
        size(view.timeline.moments.last().and_then(|moment| moment.charged_bytes))
    }),
    ("could not be created", |view| Count(view.summary.alloc_failed).to_string()),
    ("loss", |view| lost(&view.summary)),
    ("conclusive", |view| if view.summary.conclusive { "yes" } else { "no" }.to_owned()),
];

/// What differs, then what does not.
pub fn changed(markup: &mut Markup, sides: &[Side<'_>]) {
    let mut rows: Vec<(bool, Vec<String>)> = ROWS
        .iter()
        .map(|(name, of)| {
            let values: Vec<String> = sides.iter().map(|side| of(side.view)).collect();
            let same = values.windows(2).all(|pair| pair[0] == pair[1]);
            (same, [vec![(*name).to_owned()], values].concat())
        })
        .collect();
    rows.sort_by_key(|(same, _)| *same);
    for (title, same) in [("What changed", false), ("What did not", true)] {
        let of_it: Vec<&Vec<String>> =
            rows.iter().filter(|(is, _)| *is == same).map(|(_, row)| row).collect();
        if of_it.is_empty() {
            continue;
        }
        titled(markup, title, |markup| {
            let columns = Columns::new(["", "BEFORE>", "AFTER>"]);
            let cells = of_it.iter().map(|row| row.iter().cloned().map(Cell::from).collect());
            columns.table(markup, cells, of_it.len() as u64, "");
        });
    }
}
