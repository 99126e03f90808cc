//! What changed from one run to the other.

use super::{
    markup::Markup,
    side::{Side, section as titled},
    table::{Cell, HtmlTable},
};
use crate::{
    report::{
        text::{summary::lost, table::size, verdict::Deaths, words::or},
        view::ReportView,
    },
    units::{Count, Time, UNKNOWN},
};

/// One row: a name, and what it is in each run.
type ComparedRow = (&'static str, fn(&ReportView<'_>) -> String);

const ROWS: &[ComparedRow] = &[
    ("kernel", |view| view.kernel.to_owned()),
    ("watched for", |view| Time { ns: view.summary.duration_ns }.to_string()),
    ("grace time", |view| Time { ns: view.summary.grace_ns }.to_string()),
    ("created", |view| Count(view.summary.created).to_string()),
    ("offline", |view| Count(view.timeline.sum(|stretch| stretch.died)).to_string()),
    ("freed", |view| Count(view.summary.freed).to_string()),
    ("late", |view| Count(view.summary.late).to_string()),
    ("dying at the end", |view| Count(view.summary.dying).to_string()),
    ("leaked", |view| Count(Deaths::of(&view.summary).leaked).to_string()),
    ("of those offline", |view| {
        let (leaked, died) = (Deaths::of(&view.summary).leaked, view.timeline.sum(|stretch| stretch.died));
        if died == 0 { UNKNOWN.to_owned() } else { format!("{:.1} %", 100.0 * leaked as f64 / died as f64) }
    }),
    ("before start", |view| Count(view.summary.dying_before_start).to_string()),
    ("memcg IDs in use", |view| or(view.summary.ids_used.map(Count), UNKNOWN)),
    ("held by dying memcgs", |view| or(view.summary.ids_held_by_dying.map(Count), UNKNOWN)),
    ("all IDs used in", |view| or(view.summary.ids_exhausted_in_ns.map(|ns| Time { ns }), "no trend")),
    ("charged to dying memcgs", |view| {
        size(view.timeline.stretches.last().and_then(|stretch| stretch.charged_bytes))
    }),
    ("could not be created", |view| Count(view.summary.alloc_failed).to_string()),
    ("loss", |view| lost(&view.summary)),
    ("conclusive", |view| if view.summary.conclusive { "yes" } else { "no" }.to_owned()),
];

/// What differs; what does not is folded away.
pub fn changed(markup: &mut Markup, sides: &[Side<'_>]) {
    let rows: Vec<(bool, Vec<String>)> = ROWS
        .iter()
        .map(|(name, of)| {
            let values: Vec<String> = sides.iter().map(|side| of(side.view)).collect();
            let same = values.windows(2).all(|pair| pair[0] == pair[1]);
            (same, [vec![(*name).to_owned()], values].concat())
        })
        .collect();
    let (same, differ): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(same, _)| *same);
    let table = |markup: &mut Markup, rows: Vec<(bool, Vec<String>)>| {
        let count = rows.len() as u64;
        let cells = rows.into_iter().map(|(_, row)| row.into_iter().map(Cell::from).collect());
        HtmlTable::new(["", "BEFORE>", "AFTER>"]).write(markup, cells, count, "");
    };
    titled(markup, "What changed", |markup| {
        if differ.is_empty() {
            markup.leaf("p", &[], "nothing that is counted");
        } else {
            table(markup, differ);
        }
        markup.element("details", &[], |markup| {
            markup.leaf("summary", &[], "What did not");
            table(markup, same);
        });
    });
}
